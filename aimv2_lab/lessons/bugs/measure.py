"""Train healthy runs and one sick run of every kind on both phantoms, and store their curves.

    python -m aimv2_lab.lessons.bugs.measure

Takes a few minutes on one core. Notebook and tests read what it stored.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from aimv2_lab.lessons.bugs.faults import FAULTS
from aimv2_lab.lessons.bugs.phantoms import BODIES, CLINIC, HEALTHY, STORED, Body, Curve, train_on
from aimv2_lab.report.curves import store_curves
from aimv2_lab.report.stored import save_result

HEALTHY_SEEDS = {"pictures": 8, "noise": 6}
FAULT_SEEDS = {"pictures": 1, "noise": 1}


def records(curve: Curve) -> list[dict[str, float]]:
    """A curve as the records of a run, one per step, counted from 1."""
    pairs = zip(curve.pixel, curve.text, strict=True)
    return [{"step": step, "pixel": pixel, "text": text} for step, (pixel, text) in enumerate(pairs, start=1)]


def jitter(losses: Sequence[float]) -> float:
    """How much the loss jumps from step to step in the second half: root mean square."""
    half = losses[len(losses) // 2 :]
    return (sum((b - a) ** 2 for a, b in pairwise(half)) / (len(half) - 1)) ** 0.5


def measure(fault: str, body: Body, seed: int) -> dict[str, Any]:
    """One run, as it is stored: healthy or with a fault."""
    with nullcontext() if fault == HEALTHY else FAULTS[fault].applied():
        curve = train_on(body, seed=seed)
    jumps = {"pixel": round(jitter(curve.pixel), 4), "text": round(jitter(curve.text), 4)}
    first = {"pixel": round(curve.pixel[0], 4), "text": round(curve.text[0], 4)}
    return {
        "fault": fault,
        "body": body,
        "seed": seed,
        "first": first,
        "jitter": jumps,
        "curves": store_curves(records(curve)),
    }


def main() -> None:
    """Run everything and store it."""
    started = time.process_time()
    runs = [(HEALTHY, body, seed) for body in BODIES for seed in range(HEALTHY_SEEDS[body])]
    runs += [(fault, body, seed) for fault in FAULTS for body in BODIES for seed in range(FAULT_SEEDS[body])]
    values = []
    for fault, body, seed in runs:
        values.append(measure(fault, body, seed))
        ends = {loss: values[-1]["curves"][loss][-1] for loss in ("pixel", "text")}
        print(f"{fault}, {body}, seed {seed}: {ends}", flush=True)
    seconds = time.process_time() - started
    save_result(STORED, values, "python -m aimv2_lab.lessons.bugs.measure", asdict(CLINIC), seconds)


if __name__ == "__main__":
    main()
