"""Scaling, drawn: the fitted law through the losses, losses along equal compute, and loss beside probe score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from numpy.typing import NDArray

from aimv2_lab.evaluation.ablations.comparing import column_score
from aimv2_lab.evaluation.probing.opening import SEEN
from aimv2_lab.evaluation.scaling.law import ScalingLaw, fit_law
from aimv2_lab.report.style import IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, styled

Loss = Literal["total", "pixel", "text"]
_COLOURS = (NEUTRAL, IMAGE, PREFIX, TEXT)


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
    runs = [(point.parameters, point.samples, loss) for point in points for loss in point.losses]
    return fit_law(*zip(*runs, strict=True))


def rank_correlation(points: Sequence[Point]) -> float:
    """Spearman's, of the cells' mean losses with their mean scores: -1 where a lower loss is always a better score."""
    losses, scores = (np.array(values) for values in zip(*((p.loss, fmean(p.scores)) for p in points), strict=True))
    return float(np.corrcoef(losses.argsort().argsort(), scores.argsort().argsort())[0, 1])


@styled
def draw_law(points: Sequence[Point], title: str) -> Figure:
    """Validation loss of every run by samples, one colour an encoder, and the fitted law as lines."""
    law, figure = law_of(points), plt.figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    for size, colour in zip(dict.fromkeys(point.size for point in points), _COLOURS, strict=True):
        mine = [point for point in points if point.size == size]
        for point in mine:
            axes.plot([point.samples] * len(point.losses), point.losses, "o", color=colour, markersize=4)
        dense = np.geomspace(mine[0].samples * 0.8, mine[-1].samples * 1.25, 50)
        label = f"{size}, N = {mine[0].parameters:,}"
        axes.plot(dense, law.loss(mine[0].parameters, dense), color=colour, label=label)
    axes.set(xscale="log", xlabel="samples seen", ylabel="validation loss")
    _plain_ticks(axes, [point.samples for point in points])
    figure.legend(title="encoder", alignment="left", loc="outside right upper")
    axes.text(0.98, 0.97, _formula(law), transform=axes.transAxes, ha="right", va="top", fontsize=9)
    axes.set_title(title)
    return figure


def _formula(law: ScalingLaw) -> str:
    n, d = f"(N/{law.unit_n:,.0f})", f"(D/{law.unit_d:,.0f})"
    terms = f"{law.a_scale:.3f} {n}^-{law.a_power:.2f} + {law.b_scale:.3f} {d}^-{law.b_power:.2f}"
    return f"L = {law.floor:.3f} + {terms}, off by {law.error:.1%}"


@styled
def draw_equal_compute(points: Sequence[Point], title: str, budgets: int = 4) -> Figure:
    """Loss by encoder size at equal FLOPs: the law as lines with its least loss marked, and as dots what each size was
    measured at, drawn between its two nearest numbers of samples."""
    law, figure = law_of(points), plt.figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    by_size = {size: [p for p in points if p.parameters == size] for size in sorted({p.parameters for p in points})}
    sizes = np.array(list(by_size))
    dense = np.geomspace(sizes[0], sizes[-1], 100)
    per_sample = _costs(dense, sizes, [mine[0].flops / mine[0].samples for mine in by_size.values()])
    spread = np.geomspace(min(p.flops for p in points) * 1.6, max(p.flops for p in points) / 1.6, budgets)
    for budget, colour in zip(spread, _COLOURS, strict=False):
        losses = law.loss(dense, budget / per_sample)
        axes.plot(dense, losses, color=colour, label=f"{budget / 1e12:.2f} TFLOP")
        best = losses.argmin()
        axes.plot(dense[best], losses[best], "v", color=TRUE, markersize=7)
        measured = {size: _at(mine, budget) for size, mine in by_size.items()}
        axes.plot(list(measured), list(measured.values()), "o", color=colour, markersize=5)
    axes.set(xscale="log", xlabel="parameters of the encoder's blocks (triangle: the best)", ylabel="validation loss")
    _plain_ticks(axes, list(sizes))
    figure.legend(title="compute of the run", loc="outside right upper")
    axes.set_title(title)
    return figure


def _costs(sizes: NDArray[np.float64], known: NDArray[np.float64], costs: Sequence[float]) -> NDArray[np.float64]:
    """FLOPs a sample of encoders of any size: the blocks' by their parameters, the rest by the width."""
    terms = [np.stack([np.ones(len(n)), np.sqrt(n), n], axis=1) for n in (known, sizes)]
    return terms[1] @ np.linalg.lstsq(terms[0], np.array(costs), rcond=None)[0]


def _at(mine: Sequence[Point], budget: float) -> float:
    """The loss of one size at a budget, nothing where none of its runs is as long or as short."""
    costs, losses = [point.flops for point in mine], [point.loss for point in mine]
    return float(np.interp(np.log(budget), np.log(costs), losses, left=np.nan, right=np.nan))


@styled
def draw_loss_and_probe(points: Sequence[Point], title: str) -> Figure:
    """Probe score by validation loss, one dot a run, one colour an encoder."""
    figure = plt.figure(figsize=(WIDTH * 0.7, 3.6))
    axes = figure.subplots()
    for size, colour in zip(dict.fromkeys(point.size for point in points), _COLOURS, strict=True):
        mine = [point for point in points if point.size == size]
        axes.plot([p.loss for p in mine], [fmean(p.scores) for p in mine], color=colour, linewidth=1)
        for point in mine:
            axes.plot(point.losses, point.scores, "o", color=colour, markersize=4)
        axes.plot([], [], "o", color=colour, label=size)
    axes.set(xlabel="validation loss", ylabel="probe score, mean of P and T")
    figure.legend(title=f"rank correlation {rank_correlation(points):.2f}", alignment="left", loc="outside right upper")
    axes.set_title(title, color=WRONG if rank_correlation(points) > -0.5 else TRUE)
    return figure


def _plain_ticks(axes: Axes, at: Sequence[float]) -> None:
    axes.set_xticks(sorted(set(at)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.ticklabel_format(axis="x", style="plain")
