"""Scaling, drawn: the fitted law through the losses, losses along equal compute, and loss beside probe score."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from aimv2_lab.evaluation.scaling.findings import (
    Point,
    budgets_of,
    compute_finding,
    equal_compute,
    law_finding,
    law_of,
    probe_finding,
    rank_correlation,
)
from aimv2_lab.evaluation.scaling.law import ScalingLaw
from aimv2_lab.report.style import IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, styled

_COLOURS = (NEUTRAL, IMAGE, PREFIX, TEXT)


@styled
def draw_law(points: Sequence[Point]) -> Figure:
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
    figure.legend(title="encoder", alignment="left", loc="outside right center")
    axes.text(0.98, 0.97, _formula(law), transform=axes.transAxes, ha="right", va="top", fontsize=9)
    axes.set_title(law_finding(points))
    return figure


def _formula(law: ScalingLaw) -> str:
    n, d = f"(N/{law.unit_n:,.0f})", f"(D/{law.unit_d:,.0f})"
    terms = f"{law.a_scale:.3f} {n}^-{law.a_power:.2f} + {law.b_scale:.3f} {d}^-{law.b_power:.2f}"
    return f"L = {law.floor:.3f} + {terms}, off by {law.error:.1%}"


@styled
def draw_equal_compute(points: Sequence[Point]) -> Figure:
    """Loss by encoder size at equal FLOPs: the law as lines with its least loss marked, and as dots what each size was
    measured at, drawn between its two nearest numbers of samples."""
    figure = plt.figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    by_size = {size: [p for p in points if p.parameters == size] for size in sorted({p.parameters for p in points})}
    for budget, colour in zip(budgets_of(points, len(_COLOURS)), _COLOURS, strict=True):
        found = equal_compute(points, budget)
        axes.plot(found.parameters, found.losses, color=colour, label=f"{budget / 1e12:.2f} TFLOP")
        axes.plot(found.parameters[found.best], found.losses[found.best], "v", color=TRUE, markersize=7)
        measured = {size: _at(mine, budget) for size, mine in by_size.items()}
        axes.plot(list(measured), list(measured.values()), "o", color=colour, markersize=5)
    axes.set(xscale="log", xlabel="parameters of the encoder's blocks (triangle: the best)", ylabel="validation loss")
    _plain_ticks(axes, list(by_size))
    figure.legend(title="compute of the run", loc="outside right center")
    axes.set_title(compute_finding(points))
    return figure


def _at(mine: Sequence[Point], budget: float) -> float:
    """The loss of one size at a budget, nothing where none of its runs is as long or as short."""
    costs, losses = [point.flops for point in mine], [point.loss for point in mine]
    return float(np.interp(np.log(budget), np.log(costs), losses, left=np.nan, right=np.nan))


@styled
def draw_loss_and_probe(points: Sequence[Point]) -> Figure:
    """Probe score by validation loss, one dot a run, one colour an encoder."""
    figure = plt.figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    for size, colour in zip(dict.fromkeys(point.size for point in points), _COLOURS, strict=True):
        mine = [point for point in points if point.size == size]
        axes.plot([p.loss for p in mine], [fmean(p.scores) for p in mine], color=colour, linewidth=1)
        for point in mine:
            axes.plot(point.losses, point.scores, "o", color=colour, markersize=4)
        axes.plot([], [], "o", color=colour, label=size)
    axes.set(xlabel="validation loss", ylabel="probe score, mean of P and T")
    figure.legend(title="encoder", alignment="left", loc="outside right center")
    axes.set_title(probe_finding(points), color=WRONG if rank_correlation(points) > -0.5 else TRUE)
    return figure


def _plain_ticks(axes: Axes, at: Sequence[float]) -> None:
    axes.set_xticks(sorted(set(at)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.ticklabel_format(axis="x", style="plain")
