"""Loss curves cut into windows, so that runs can be stored small and compared step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Windows end every 5 steps for the first 200, where curves fall fast, and every 50 after that. Our choice.
FINE, FINE_STEPS, COARSE = 5, 200, 50
LOSSES = ("pixel", "text")


def window_end(step: int) -> int:
    """The last step of the window that holds `step`, counting steps from 1."""
    width = FINE if step <= FINE_STEPS else COARSE
    return -(-step // width) * width


def store_curves(records: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Training records as {"step": window ends, "pixel": …, "text": …}: means per window, four decimals.

    `records` are those of a run's metrics.jsonl, or any with the same keys. Windows without a record are left out.
    """
    ends = sorted({window_end(record["step"]) for record in records})
    curves: dict[str, list[float]] = {"step": [float(end) for end in ends]}
    for loss in LOSSES:
        inside = {end: [r[loss] for r in records if window_end(r["step"]) == end] for end in ends}
        curves[loss] = [round(sum(values) / len(values), 4) for values in inside.values()]
    return curves
