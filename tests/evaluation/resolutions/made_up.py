"""Runs made up from names and a formula, in the form that `launch.resolutions` stores: for tests, and never stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aimv2_lab.evaluation.probing.factors import FACTORS
from aimv2_lab.evaluation.probing.opening import HELD_OUT, SEEN
from aimv2_lab.evaluation.resolutions.claims import CLAIMS, READINGS, Reading, answer
from aimv2_lab.evaluation.resolutions.toys import PROBED, SEEDS, TRAINED
from aimv2_lab.evaluation.resolutions.views import RATIOS

# Points above 70 by what was trained and in which view it is seen; 0 where nothing is said.
LEVELS: Mapping[tuple[str, str], float] = {
    ("low-continued", "low"): 4.0,
    ("low-continued", "high"): 1.0,
    ("high", "low"): -4.0,
    ("high", "high"): 7.0,
    ("low-sincos-continued", "low"): 4.0,
    ("low-sincos-continued", "high"): 1.0,
    ("low-sincos-continued", "native"): 2.0,
    ("high-sincos", "low"): -4.0,
    ("high-sincos", "high"): 7.0,
    ("high-sincos", "native"): 5.0,
    ("high-sincos", "cropped"): -2.0,
    ("high-decay", "high"): 7.0,
    ("high-strong-decay", "high"): 7.0,
    ("native", "low"): 4.0,
    ("native", "high"): 7.0,
    ("native", "native"): 9.0,
    ("native-seen-padding", "native"): 9.0,
}
LONGER = {"native": 0.0, "cropped": -2.5}  # points lost from one class of ratios to the next; 1 in other views


def made_up_score(variant: str, view: str, test: str, seed: int, factor: int) -> float:
    """A share: levels above, luck that all variants of a seed share, and a little that they do not."""
    ratio = list(RATIOS).index(test) if test in RATIOS else 1.5
    longer = LONGER.get(view, -1.0) * (ratio - 1.5)
    if test in RATIOS and ratio == 0 and view != "cropped":
        longer = 0.0 if variant != "native" else -2.0  # where nothing is squashed all are alike
    shared, own = seed % 3, (seed * len(variant) + len(view)) % 3 / 10
    held_out = -10 if test == HELD_OUT else 0
    points = 70 + LEVELS.get((variant, view), 0.0) + longer + shared + own + held_out + factor % 4
    return round(points / 100, 4)


def made_up_runs() -> list[dict[str, Any]]:
    """Every seed of all that is trained, in every view and on every test set."""
    return [
        {
            "variant": variant,
            "seed": 11 + number,
            "losses": {"total": 1.0 + 0.01 * number, "pixel": 0.9, "text": 0.6},
            "scores": {
                view: {
                    test: {
                        factor.name: made_up_score(variant, view, test, 11 + number, place)
                        for place, factor in enumerate(FACTORS)
                    }
                    for test in (SEEN, HELD_OUT, *RATIOS)
                }
                for view in PROBED[variant]
            },
            "seconds": 100.0,
            "measured_as": "made up",
        }
        for variant in TRAINED
        for number in range(SEEDS)
    ]


def fitting_readings(runs: list[dict[str, Any]]) -> dict[str, Reading]:
    """The hand-written sentences with the words that some runs give."""
    found = {name: answer(runs, claim) for claims in CLAIMS.values() for name, claim in claims.items()}
    return {name: Reading(found[name].word, reading.because) for name, reading in READINGS.items()}
