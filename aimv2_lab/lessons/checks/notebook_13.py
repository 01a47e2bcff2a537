"""Checks of notebook 13: the hand-off."""

from __future__ import annotations

from collections.abc import Callable

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number

# step, batch size, ranks, rank
CASES: dict[str, tuple[int, int, int, int]] = {
    "one rank, the first step": (0, 8, 1, 0),
    "two ranks, the first of them": (0, 8, 2, 0),
    "two ranks, the second": (0, 8, 2, 1),
    "four ranks, step 3": (3, 8, 4, 2),
    "one pair a rank": (5, 4, 4, 3),
    "the paper's batch on 64 ranks": (1_000, 8192, 64, 63),
}


def check_13a(answer: Callable[[int, int, int, int], list[int]]) -> CheckResult:
    """`answer(step, batch_size, ranks, rank)` must list the positions that `batches` reads there."""
    cases = [Case(name, arguments, _positions(*arguments)) for name, arguments in CASES.items()]
    return check_function("13a a rank's positions", answer, cases)


def _positions(step: int, batch_size: int, ranks: int, rank: int) -> list[int]:
    part = batch_size // ranks
    first = step * batch_size + rank * part
    return list(range(first, first + part))


def check_13b(answer: float | None) -> CheckResult:
    """GB (10^9 bytes) of weights, gradients and optimizer of the 3b model on each of 64 ranks, ZeRO stage 2."""
    hints: dict[float, str] = {
        47.107: "that is one process alone: four numbers a parameter",
        24.105: "that is stage 1: at stage 2 gradients are cut as well",
        0.920: "that is stage 3: at stage 2 every rank has all weights",
        12.329: "Adam's two averages are there; the float32 copy that ZeRO keeps beside them is not",
        11.653: "those are GiB; the question asks for GB, 10^9 bytes",
    }
    return check_number("13b stage 2 on 64 ranks", answer, 12.45, 12.58, hints)


def check_13c(answer: str | None) -> CheckResult:
    """What changes when a run goes on with twice the ranks."""
    feedback = {
        "A": "A step reads the same consecutive positions; the ranks only share them out otherwise.",
        "B": "A prefix is drawn from the seed and the position in the data. No rank takes part in that.",
        "C": "The same numbers are added up in another order, and float32 addition depends on the order.",
        "D": "The rate is a function of the step, and a step is a global batch, whoever computes it.",
    }
    return check_choice("13c twice the ranks", answer, "C", feedback)


def check_13d(answer: float | None) -> CheckResult:
    """GB at the peak of the 3b model on 64 ranks, ZeRO stage 1, micro-batches of 128, blocks recomputed."""
    hints: dict[float, str] = {
        152.094: "that is without recomputation: set engine.activation_checkpointing",
        34.4: "that is a micro-batch of 16; leave it at 128",
        25.667: "those are the activations alone",
    }
    return check_number("13d blocks recomputed", answer, 39.5, 40.5, hints)
