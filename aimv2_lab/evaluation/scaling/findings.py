"""What a scaling study says: its points, the law through them, the best size at equal compute, and whether the loss
tells the probe's score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aimv2_lab.evaluation.ablations.comparing import column_score
from aimv2_lab.evaluation.probing.opening import SEEN
from aimv2_lab.evaluation.scaling.law import ScalingLaw, fit_law

Loss = Literal["total", "pixel", "text"]
_SIZES = 200  # between the smallest and the largest encoder, of which the best is looked for


@dataclass(frozen=True)
class Point:
    """One cell of the grid: an encoder's size, N, D and C, and its losses and probe scores seed by seed."""

    size: str
    parameters: int
    samples: int
    flops: float
    losses: tuple[float, ...]
    scores: tuple[float, ...]

    @property
    def loss(self) -> float:
        """The mean over the seeds."""
        return fmean(self.losses)


def points_of(values: Sequence[Mapping[str, Any]], loss: Loss = "total") -> tuple[Point, ...]:
    """The cells of a stored scaling study, smallest first; scores are the means of P and T."""
    cells: dict[str, list[Mapping[str, Any]]] = {}
    for value in values:
        cells.setdefault(value["variant"], []).append(value)
    found = [
        Point(
            runs[0]["size"],
            runs[0]["parameters"],
            runs[0]["samples"],
            runs[0]["flops"],
            tuple(run["losses"][loss] for run in runs),
            tuple(column_score(run["scores"]["attentive"][SEEN], "P and T") for run in runs),
        )
        for runs in cells.values()
    ]
    return tuple(sorted(found, key=lambda point: (point.parameters, point.samples)))


def law_of(points: Sequence[Point]) -> ScalingLaw:
    """The law through every run of the points."""
    return _law_of(tuple(points))


@lru_cache(maxsize=8)  # a fit takes seconds, and every figure and finding needs it
def _law_of(points: tuple[Point, ...]) -> ScalingLaw:
    runs = [(point.parameters, point.samples, loss) for point in points for loss in point.losses]
    return fit_law(*zip(*runs, strict=True))


def rank_correlation(points: Sequence[Point]) -> float:
    """Spearman's, of the cells' mean losses with their mean scores: -1 where a lower loss is always a better score."""
    losses, scores = (np.array(values) for values in zip(*((p.loss, fmean(p.scores)) for p in points), strict=True))
    return float(np.corrcoef(losses.argsort().argsort(), scores.argsort().argsort())[0, 1])


def budgets_of(points: Sequence[Point], number: int = 4) -> NDArray[np.float64]:
    """FLOPs of whole runs, evenly spaced in logarithms, at which several of the sizes were measured."""
    costs = [point.flops for point in points]
    return np.geomspace(min(costs) * 1.6, max(costs) / 1.6, number)


@dataclass(frozen=True)
class EqualCompute:
    """Encoders of many sizes at one budget: their parameters and the losses that the law has for them."""

    parameters: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def best(self) -> int:
        """The number of the one with the least loss."""
        return int(self.losses.argmin())

    @property
    def at_an_edge(self) -> bool:
        """Whether that is the smallest or the largest, so that the best may lie beyond."""
        return self.best in (0, len(self.losses) - 1)


def equal_compute(points: Sequence[Point], budget: float) -> EqualCompute:
    """What the law has for every size, with as many samples as the budget, in FLOPs, pays for."""
    known = {point.parameters: point.flops / point.samples for point in points}
    sizes = np.geomspace(min(known), max(known), _SIZES)
    costs = _costs(sizes, np.array(list(known), dtype=np.float64), list(known.values()))
    return EqualCompute(sizes, law_of(points).loss(sizes, budget / costs))


def _costs(sizes: NDArray[np.float64], known: NDArray[np.float64], costs: Sequence[float]) -> NDArray[np.float64]:
    """FLOPs a sample of encoders of any size: the blocks' by their parameters, the rest by the width."""
    terms = [np.stack([np.ones(len(n)), np.sqrt(n), n], axis=1) for n in (known, sizes)]
    return terms[1] @ np.linalg.lstsq(terms[0], np.array(costs), rcond=None)[0]


def law_finding(points: Sequence[Point]) -> str:
    """What twice the samples and twice the parameters are worth, by the law, at the grid's middle."""
    law = law_of(points)
    here = law.loss(law.unit_n, law.unit_d).item()
    samples, parameters = (1 - law.loss(n * law.unit_n, d * law.unit_d).item() / here for n, d in ((1, 2), (2, 1)))
    return f"Twice the samples lower the loss by {samples:.1%}, twice the size by {parameters:.1%}"


def compute_finding(points: Sequence[Point]) -> str:
    """Which size is best at the least and at the most compute."""
    said = []
    for budget in budgets_of(points)[[0, -1]]:
        found = equal_compute(points, budget)
        edge = ("the smallest, " if found.best == 0 else "the largest, ") if found.at_an_edge else ""
        said.append(f"{edge}{found.parameters[found.best] / 1000:,.0f} k at {budget / 1e12:.2f} TFLOP")
    return f"Best size, in parameters: {said[0]}; {said[1]}"


def probe_finding(points: Sequence[Point]) -> str:
    """Whether a lower loss is a better score, by the rank correlation of the cells."""
    found = rank_correlation(points)
    says = "A lower loss is a better probe" if found < -0.5 else "The loss does not tell the better probe"
    return f"{says}: rank correlation {found:.2f}"
