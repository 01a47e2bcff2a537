"""The stored runs of `lessons.bugs.measure`, held against the band of the healthy ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from matplotlib.figure import Figure

from aimv2_lab.lessons.bugs.phantoms import (
    HEALTHY,
    PIXEL_FLOOR_NOISE,
    STORED,
    TEXT_FLOOR_SEEN,
    TEXT_FLOOR_UNSEEN,
    Body,
)
from aimv2_lab.report.band_figures import as_records
from aimv2_lab.report.bands import Band, judge, seed_band
from aimv2_lab.report.clinic_figures import draw_over_floors
from aimv2_lab.report.stored import load_result

Run = Mapping[str, Any]

FLOORS: dict[Body, dict[str, float]] = {
    "pictures": {"text": TEXT_FLOOR_SEEN},
    "noise": {"pixel": PIXEL_FLOOR_NOISE, "text": TEXT_FLOOR_UNSEEN},
}


def stored_run(fault: str, body: Body, seed: int = 0) -> Run:
    """The stored run of a fault, or of `HEALTHY`; raises LookupError where it was not measured."""
    for run in load_result(STORED).values:
        if (run["fault"], run["body"], run["seed"]) == (fault, body, seed):
            return run
    raise LookupError(
        f"{STORED} holds no run {fault!r} on {body}, seed {seed}: python -m aimv2_lab.lessons.bugs.measure"
    )


@lru_cache
def healthy_band(body: Body) -> Band:
    """Where healthy runs on a phantom lie, from the stored seeds."""
    result = load_result(STORED)
    runs = [run for run in result.values if run["fault"] == HEALTHY and run["body"] == body]
    return seed_band(replace(result, values=runs))


def leaves_band(run: Run, body: Body) -> bool:
    """Whether one of the two losses leaves the band of the healthy runs."""
    return not all(verdict.inside for verdict in judge(as_records(run["curves"]), healthy_band(body)))


def draw(run: Run, body: Body) -> Figure:
    """Both losses over the healthy band, with the floors that are known."""
    return draw_over_floors(as_records(run["curves"]), healthy_band(body), FLOORS[body], body)
