"""Plausible wrong answers to the exercises of notebook 13."""

from __future__ import annotations

from typing import Any

PARAMETERS = 2_944_189_440


def every_other(step: int, batch_size: int, ranks: int, rank: int) -> list[int]:
    """Dealt like cards: the same batch, but other pairs on each rank than `batches` reads."""
    return list(range(step * batch_size + rank, (step + 1) * batch_size, ranks))


def whole_batch_on_every_rank(step: int, batch_size: int, ranks: int, rank: int) -> list[int]:
    return list(range(step * batch_size, (step + 1) * batch_size))


def steps_of_a_part(step: int, batch_size: int, ranks: int, rank: int) -> list[int]:
    part = batch_size // ranks
    first = step * part + rank * part
    return list(range(first, first + part))


WRONG: dict[str, dict[str, Any]] = {
    "13a": {
        "every other pair": every_other,
        "the whole batch on every rank": whole_batch_on_every_rank,
        "steps of a part": steps_of_a_part,
    },
    "13b": {
        "one process": PARAMETERS * 16 / 1e9,
        "stage 1": PARAMETERS * (8 + 12 / 64) / 1e9,
        "stage 3": PARAMETERS * 20 / 64 / 1e9,
        "no float32 copy": PARAMETERS * (4 + 12 / 64) / 1e9,
        "GiB": PARAMETERS * 4.25 / 2**30,
    },
    "13c": {"the samples": "A", "the prefixes": "B", "the learning rate": "D"},
    "13d": {"not recomputed": 152.094, "another micro-batch": 34.4},
}
