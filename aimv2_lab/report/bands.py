"""Is my curve normal? The band in which ten seeds of the same recipe ran, and where another run leaves it.

The seeds' runs are stored by `python -m aimv2_lab.launch.sweep` (the file says the whole command). Each window of the
band holds a further run in 997 of 1,000 cases, as far as so few seeds can say: their mean, plus and minus Student's t.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aimv2_lab.recipes import Recipe, differences
from aimv2_lab.report.curves import FINE_STEPS, LOSSES, store_curves
from aimv2_lab.report.stored import StoredResult, load_result
from aimv2_lab.training.run.folder import FREE_ON_RESUME

# A run is called outside when three windows in a row lie outside on the same side: of the ten seeds judged by the other
# nine, none is, at any step (tests/report/test_bands.py). Our choice.
SPREADS = 3.0  # standard deviations, if many seeds were known; a seed that ends higher does so for many windows
WINDOWS_OUTSIDE = 3
NEIGHBOURS = 3  # windows on either side whose spread is averaged: ten seeds alone give a ragged one

CAUSES: Mapping[tuple[str, str], str] = {
    ("pixel", "above"): "learning rate or warm-up changed; targets or pictures not normalised",
    ("pixel", "below"): "during warm-up, a larger learning rate; later, targets that are not the next patch, or a leak "
    "through mask or prefix that shows a prediction its target",
    ("text", "above"): "learning rate or warm-up changed; pictures and captions no longer belong together; "
    "another tokenizer",
    ("text", "below"): "during warm-up, a larger learning rate; later, padding counted as text; a caption that sees "
    "its own next token",
}
NAMES: Mapping[str, str] = {"pixel": "pixel loss", "text": "caption loss"}
TINY_SEEDS = "tiny_seeds"  # the stored result whose runs make the band


@dataclass(frozen=True)
class Band:
    """Limits per window for both losses, from `seeds` runs; the arrays of a loss run along `steps`, windows' ends."""

    steps: NDArray[np.float64]
    low: Mapping[str, NDArray[np.float64]]
    high: Mapping[str, NDArray[np.float64]]
    seeds: int
    log_every: int  # steps between the records that its windows average over


@dataclass(frozen=True)
class Verdict:
    """Where one loss of a run lies: `left_at` is the step from which on it is outside, None for inside."""

    loss: str
    left_at: int | None
    side: str  # "above", "below", or "" for inside

    @property
    def inside(self) -> bool:
        """Whether the run stayed in the band as far as it went."""
        return self.left_at is None

    @property
    def place(self) -> str:
        """The verdict without causes, as a figure's title has it."""
        where = "inside the band" if self.inside else f"outside from step {self.left_at}, {self.side}"
        return f"{NAMES[self.loss]}: {where}"

    def __str__(self) -> str:
        return self.place if self.inside else f"{self.place}. Usual causes: {CAUSES[self.loss, self.side]}"


def seed_band(result: StoredResult, without: Sequence[int] = ()) -> Band:
    """The band of a stored sweep over seeds; runs whose place in the list is in `without` are left out.

    Raises ValueError for fewer than three runs, or runs logged at different steps.
    """
    curves = [run["curves"] for place, run in enumerate(result.values) if place not in without]
    if len(curves) < 3:
        raise ValueError(f"stored result {result.name} holds {len(curves)} runs; a band needs at least 3 seeds")
    if any(curve["step"] != curves[0]["step"] for curve in curves):
        raise ValueError(f"the runs of stored result {result.name} were logged at different steps; run the sweep anew")
    steps = np.array(curves[0]["step"])
    limits = {loss: _limits(np.array([curve[loss] for curve in curves]), steps) for loss in LOSSES}
    low, high = ({loss: pair[side] for loss, pair in limits.items()} for side in (0, 1))
    return Band(steps, low, high, len(curves), result.recipe["training"]["log_every"])


def _limits(values: NDArray[np.float64], steps: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper limit per window of runs (seeds, windows), for one further run."""
    change = np.searchsorted(
        steps, FINE_STEPS, side="right"
    )  # windows of many steps spread less: not averaged together
    smooth = np.concatenate([_smoothed(part) for part in np.split(values.var(axis=0, ddof=1), [change])])
    reach = student(SPREADS, len(values) - 1) * np.sqrt(smooth * (1 + 1 / len(values)))
    return values.mean(axis=0) - reach, values.mean(axis=0) + reach


def _smoothed(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each window's variance averaged with its neighbours'."""
    if not len(variance):
        return variance
    padded = np.pad(variance, NEIGHBOURS, mode="edge")
    return np.convolve(padded, np.ones(2 * NEIGHBOURS + 1) / (2 * NEIGHBOURS + 1), mode="valid")


def student(spreads: float, freedom: int) -> float:
    """The quantile of Student's t that a normal variable has at `spreads` deviations, for `freedom` degrees of freedom.

    Three terms of its expansion in 1 / freedom: right to 1 % from 7 on and to 3 % from 4 on, and too small for fewer.
    """
    z = spreads
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def judge(records: Sequence[Mapping[str, Any]], band: Band) -> list[Verdict]:
    """Pixel and caption loss of training records, held against a band; a shorter run is judged as far as it goes.

    Records are those of a run's metrics.jsonl. Where there are more than the band's runs had, only those of the same
    steps count: a mean over all steps of a window would lie above its last step while losses fall. Raises ValueError
    when no record falls into a window of the band.
    """
    curves = comparable_curves(records, band)
    places = {float(step): place for place, step in enumerate(band.steps)}
    shared = [(mine, places[step]) for mine, step in enumerate(curves["step"]) if step in places]
    if not shared:
        raise ValueError(f"no record lies within the band's steps 1 … {int(band.steps[-1])}; log the run's first steps")
    return [_judge_loss(loss, curves, band, shared) for loss in LOSSES]


def comparable_curves(records: Sequence[Mapping[str, Any]], band: Band) -> dict[str, list[float]]:
    """The curves of a run's records as the band's runs were stored: the same steps, the same windows."""
    return store_curves([record for record in records if record["step"] % band.log_every == 0])


def _judge_loss(loss: str, curves: Mapping[str, Sequence[float]], band: Band, shared: list[tuple[int, int]]) -> Verdict:
    """The first window with which `WINDOWS_OUTSIDE` windows in a row lie outside on one side."""
    row = 0
    last = ""
    for mine, place in shared:
        side = _side(curves[loss][mine], band.low[loss][place], band.high[loss][place])
        row = row + 1 if side and side == last else int(bool(side))
        last = side
        if row == WINDOWS_OUTSIDE:
            first = shared[shared.index((mine, place)) - WINDOWS_OUTSIDE + 1][0]
            return Verdict(loss, int(curves["step"][first]), side)
    return Verdict(loss, None, "")


def _side(value: float, low: float, high: float) -> str:
    if math.isnan(value) or value > high:
        return "above"
    return "below" if value < low else ""


def band_for(recipe: Recipe, name: str = TINY_SEEDS) -> Band:
    """The stored band of a recipe, whatever its seed; raises ValueError naming the fields in which they differ."""
    result = load_result(name)
    changed = differences(Recipe.from_json(json.dumps(result.recipe)), recipe)
    bad = {path: values for path, values in changed.items() if path not in FREE_ON_RESUME | {"training.seed", "name"}}
    if bad:
        rows = "; ".join(f"{path} is {new!r}, the band's runs had {old!r}" for path, (old, new) in bad.items())
        raise ValueError(f"the band {name} is another recipe's: {rows}. Only equal recipes have comparable curves")
    return seed_band(result)


def end_range(result: StoredResult, measure: str) -> tuple[float, float]:
    """Lowest and highest value of a measure at the end of the stored runs."""
    values = [run["measures"][measure] for run in result.values]
    return min(values), max(values)
