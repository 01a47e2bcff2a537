"""The comparison of resolutions drawn: Table 6 in miniature, pictures by their ratio, going on, and what areas cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aimv2_lab.evaluation.ablations.comparing import Column, Side, side_of
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.evaluation.resolutions.claims import (
    HIGH_AT_HIGH,
    LONG,
    NATIVE_AT_OWN,
    TABLE_6,
    TABLE_AT_HIGH,
    answer,
    claims_of,
)
from aimv2_lab.evaluation.resolutions.comparing import Runs, Seen, difference, score
from aimv2_lab.evaluation.resolutions.costs import CostModel, counted
from aimv2_lab.evaluation.resolutions.toys import HIGH, LOW
from aimv2_lab.evaluation.resolutions.views import RATIOS
from aimv2_lab.recipes import Recipe
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, colour_scale, styled

COLOURS = {"above": PREFIX, "below": WRONG, "not told apart": NEUTRAL}
TRAINED_NAMES = {"low-sincos-continued": "low", "high-sincos": "high", "native": "native"}
SAID = {"shows": "shown", "does not show": "not shown", "shows the opposite": "reversed"}
SHOWN_BY_RATIO: Mapping[str, Seen] = {
    "squashed to a square": HIGH_AT_HIGH,
    "cropped to a square": Seen("high-sincos", "cropped"),
    "native": NATIVE_AT_OWN,
}


@styled
def draw_table_six(runs: Runs, column: Column = "P and T") -> Figure:
    """What was trained, by what it is tested at: ours with the intervals of three seeds, and the paper's Table 6. The
    title counts which of the paper's differences show."""
    figure, (ours, paper) = plt.subplots(1, 2, figsize=(WIDTH * 1.2, 3.1))
    sizes = {"low": f"{LOW} px", "high": f"{HIGH} px", "native": "native"}
    here = {name: {view: score(runs, Seen(name, view), column) for view in sizes} for name in TABLE_6}
    _draw_cells(ours, here, sizes)
    there = {
        name: {view: Interval.of([value / 100]) for view, value in views.items()} for name, views in TABLE_6.items()
    }
    _draw_cells(paper, there, {"low": "224 px", "high": "448 px", "native": "native"})
    ours.set_title("here: probe's top-1, % of P and T" if column == "P and T" else f"here: {column}, %", fontsize=9.5)
    paper.set_title("the paper's Table 6: ImageNet-1k, %", fontsize=9.5)
    words = [answer(runs, claim).word for claim in claims_of("Table 6")]
    parts = [f"{words.count(word)} {said}" for word, said in SAID.items() if word in words]
    figure.suptitle(f"The {len(words)} differences in the paper's table are here: {', '.join(parts)}")
    return figure


def _draw_cells(axes: Axes, cells: Mapping[str, Mapping[str, Interval]], sizes: Mapping[str, str]) -> None:
    """Scores (0 … 1) by what was trained and at which of the sizes it was tested; what was not tested is grey."""
    shown = np.full((len(cells), len(sizes)), np.nan)
    for row, views in enumerate(cells.values()):
        for place, view in enumerate(sizes):
            if view in views:
                shown[row, place] = 100 * views[view].mean
                reach = views[view].reach
                text = f"{shown[row, place]:.1f}" + ("" if reach is None else f"\n± {100 * reach:.1f}")
                axes.text(place, row, text, ha="center", va="center", fontsize=9.5)
    axes.set_facecolor(FAINT)
    spread = np.nanmax(shown) - np.nanmin(shown) or 1.0
    axes.imshow(shown, cmap=colour_scale(IMAGE), vmin=np.nanmin(shown), vmax=np.nanmax(shown) + spread, aspect="auto")
    axes.set_xticks(range(len(sizes)), [f"at {size}" for size in sizes.values()])
    axes.set_yticks(range(len(cells)), [f"trained {sizes[TRAINED_NAMES[name]]}" for name in cells])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


@styled
def draw_by_ratio(runs: Runs, column: Column = "P and T") -> Figure:
    """The probe's score by how long the test pictures are, for pictures squashed, cropped and native; the title is the
    paired difference on the longest."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    for place, ((name, seen), colour) in enumerate(zip(SHOWN_BY_RATIO.items(), (IMAGE, NEUTRAL, TEXT), strict=True)):
        found = [score(runs, seen, column, test) for test in RATIOS]
        means, reaches = ([100 * (value or 0.0) for value in each] for each in _means_and_reaches(found))
        places = np.arange(len(found)) + 0.06 * (place - 1)
        axes.errorbar(places, means, yerr=reaches, fmt="o-", color=colour, label=name, capsize=2)
    axes.set_xticks(range(len(RATIOS)), list(RATIOS))
    axes.set(xlabel="longer side over shorter", ylabel=f"{column}: top-1, %")
    axes.legend()
    longest = difference(runs, NATIVE_AT_OWN, HIGH_AT_HIGH, column, LONG)
    axes.set_title(f"Pictures of ratio {LONG}: native against squashed {signed(longest)}, {side_of(longest)}")
    return figure


def _means_and_reaches(found: Sequence[Interval]) -> tuple[list[float], list[float | None]]:
    return [one.mean for one in found], [one.reach for one in found]


def signed(interval: Interval) -> str:
    """A difference in points with its reach."""
    reach = "" if interval.reach is None else f" ± {100 * interval.reach:.1f}"
    return f"{100 * interval.mean:+.1f}{reach}".replace("-", "−")


@styled
def draw_going_on(runs: Runs, column: Column = "P and T") -> Figure:
    """Weight decay in adaptation, and padding that is seen: every seed, the mean with its interval, and the paired
    difference to the first row of the panel."""
    figure, (decay, padding) = plt.subplots(1, 2, figsize=(WIDTH * 1.2, 2.5), width_ratios=(1, 1))
    decays = {
        "decay 0": TABLE_AT_HIGH,
        "0.0001": Seen("high-decay", "high"),
        "0.001": Seen("high-strong-decay", "high"),
    }
    paddings = {"padding masked": NATIVE_AT_OWN, "seen": Seen("native-seen-padding", "native")}
    sides = _draw_rows(decay, runs, decays, column) + _draw_rows(padding, runs, paddings, column)
    told = len(sides) - sides.count("not told apart")
    said = "none is" if not told else f"{told} of them {'is' if told == 1 else 'are'}"
    figure.suptitle(f"{len(sides)} ways to go on otherwise: {said} told apart from the default")
    return figure


def _draw_rows(axes: Axes, runs: Runs, rows: Mapping[str, Seen], column: Column) -> list[Side]:
    """A panel of rows against its first; returns where the others lie."""
    default, *_ = rows.values()
    sides: list[Side] = []
    for place, seen in enumerate(rows.values()):
        found = score(runs, seen, column)
        colour, text = TRUE, "default"
        if seen != default:
            apart = difference(runs, seen, default, column)
            sides.append(side_of(apart))
            colour, text = COLOURS[sides[-1]], signed(apart)
        reach = None if found.reach is None else 100 * found.reach
        axes.errorbar(100 * found.mean, place, xerr=reach, fmt="D", color=colour, alpha=0.75, linewidth=3.5)
        axes.scatter([100 * value for value in found.values], [place] * len(found.values), s=13, color=TRUE, zorder=3)
        beside: Any = {"xycoords": ("axes fraction", "data"), "xytext": (4, 0), "textcoords": "offset points"}
        axes.annotate(text, (1.0, place), **beside, va="center", fontsize=8.5)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{column}: top-1, %", fontsize=9)
    axes.grid(axis="x", color=FAINT)
    return sides


@styled
def draw_costs(costs: Sequence[Mapping[str, Any]], model: CostModel, recipe: Recipe) -> Figure:
    """Measured milliseconds a picture by area, every round and the median; the fitted model and its two parts. The
    title says from where on attention costs more than all else."""
    areas = np.array([one["area"] for one in costs])
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 1.15, 3.4), width_ratios=(1.5, 1))
    fine = np.geomspace(areas.min(), areas.max(), 60).round().astype(int)
    parts = np.array([counted(recipe, int(area)) for area in fine]) * np.array(model) / 1e9
    for one in costs:
        left.scatter([one["area"]] * len(one["rounds"]), one["rounds"], s=6, color=NEUTRAL)
    medians = np.array([one["milliseconds"] for one in costs])
    left.plot(areas, medians, "o", color=TRUE, markersize=5, label="measured")
    left.plot(fine, parts.sum(axis=1), color=TRUE, linewidth=1, label="a I + b I²")
    left.plot(fine, parts[:, 0], "--", color=IMAGE, label="a I: matrices")
    left.plot(fine, parts[:, 1], "--", color=TEXT, label="b I²: attention")
    left.axvline(model.overtakes(recipe), color=TEXT, linewidth=0.8, linestyle=":")
    left.set(xscale="log", yscale="log", xlabel="area I, patches", ylabel="milliseconds a picture")
    left.legend(loc="upper left")
    predicted = np.array([model.milliseconds(recipe, int(area)) for area in areas])
    right.axhline(0, color=TRUE, linewidth=0.8)
    right.plot(areas, 100 * (medians / predicted - 1), "o-", color=TRUE, linewidth=1, markersize=4)
    right.set(xscale="log", xlabel="area I, patches", ylabel="measured over model, %")
    ticks = [16, 128, 1024, 4096]
    for axes in (left, right):
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
    worst = np.abs(medians / predicted - 1).max()
    overtakes = round(model.overtakes(recipe), -1)
    figure.suptitle(f"From {overtakes:,.0f} patches on attention costs most; the model errs by {worst:.0%} at most")
    return figure
