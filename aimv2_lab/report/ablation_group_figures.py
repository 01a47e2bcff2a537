"""What each objective keeps: loud unnamed factors against quiet named ones; and how often one seed each misleads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aimv2_lab.evaluation.ablations.comparing import Column, Measured
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, styled

# By what an objective learns from: pixels, captions, both, neither.
SOURCES = {"image only": IMAGE, "masked image": IMAGE, "AIMv2": PREFIX, "untrained": NEUTRAL}
LETTERS, LINES = 80, 24  # of a label that fit into a panel, across and upwards
Rectangle = tuple[float, float, float, float]  # left, right, bottom, top
NAMES: Mapping[Column, str] = {
    "P": "P: in the picture, never named",
    "T": "T: quiet in the picture, named",
    "PT": "PT: both",
    "R": "R: relations, named",
}


def _colour(label: str) -> str:
    return SOURCES.get(label, TEXT)


def objective_finding(rows: Sequence[Measured]) -> str:
    """What the rows "image only" and "caption only, prefix" say against AIMv2, in the words that their paired
    differences allow."""
    by_label = {one.row.label: one for one in rows}
    of_pictures, of_captions = (by_label[label] for label in ("image only", "caption only, prefix"))
    asked: tuple[tuple[str, Measured, Column], ...] = (("captions", of_captions, "P"), ("pictures", of_pictures, "T"))
    kept = [
        f"more {column} than {name} alone" if one.clear(column) == "below" else f"no more {column} than {name} alone"
        for name, one, column in asked
    ]
    return f"AIMv2 keeps {kept[0]}, and {kept[1]}"


@styled
def draw_objectives(pairs: Sequence[Measured], flops: Sequence[Measured]) -> Figure:
    """Every objective by what a probe reads of P and of T, at equal pairs and at equal FLOPs, with 95% intervals;
    dotted, what it reads of the untrained encoder."""
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH * 1.35, 5.0), sharex=True, sharey=True)
    untrained = next(one for one in pairs if one.row.label == "untrained")
    for axes, rows, budget in zip(panels, (pairs, flops), ("pairs", "FLOPs"), strict=True):
        for one in rows:
            _draw_point(axes, one)
        style: dict[str, Any] = {"color": NEUTRAL, "linewidth": 1, "linestyle": ":", "zorder": 0}
        axes.axvline(100 * untrained.scores["P"].mean, **style)
        axes.axhline(100 * untrained.scores["T"].mean, **style)
        axes.set_title(f"at equal {budget}")
        axes.set_xlabel(f"{NAMES['P']}, %")
    panels[0].set_ylabel(f"{NAMES['T']}, %")
    panels[0].margins(0.16)
    for axes, rows in zip(panels, (pairs, flops), strict=True):
        _name_points(axes, rows)
    figure.suptitle(
        f"At equal pairs {objective_finding(pairs)};\nat equal FLOPs {objective_finding(flops)}", fontsize=11
    )
    return figure


def _draw_point(axes: Axes, one: Measured) -> None:
    across, up = one.scores["P"], one.scores["T"]
    reaches: dict[str, Any] = {"xerr": _points(across), "yerr": _points(up)}
    style: dict[str, Any] = {"fmt": "o", "color": _colour(one.row.label), "linewidth": 1.2, "markersize": 7}
    axes.errorbar(100 * across.mean, 100 * up.mean, **reaches, **style)


def _name_points(axes: Axes, rows: Sequence[Measured]) -> None:
    """Each label above, below, left or right of its point, where it covers least of the points and labels so far."""
    places = [(100 * one.scores["P"].mean, 100 * one.scores["T"].mean) for one in rows]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    wide, high = (right - left) / LETTERS, (top - bottom) / LINES
    taken = [(x - wide, x + wide, y - high / 2, y + high / 2) for x, y in places]
    for one, (x, y) in zip(rows, places, strict=True):
        half = len(one.row.label) * wide / 2
        shifts = ((0, 1.1 * high), (0, -1.1 * high), (half + 1.5 * wide, 0), (-half - 1.5 * wide, 0))
        boxes = [(x + a - half, x + a + half, y + b - high / 2, y + b + high / 2) for a, b in shifts]
        best = min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(best)
        colour = _colour(one.row.label)
        centre = ((best[0] + best[1]) / 2, (best[2] + best[3]) / 2)
        axes.text(*centre, one.row.label, ha="center", va="center", color=TRUE if colour == NEUTRAL else colour, size=9)


def _overlap(one: Rectangle, other: Rectangle) -> float:
    across = min(one[1], other[1]) - max(one[0], other[0])
    return max(across, 0) * max(min(one[3], other[3]) - max(one[2], other[2]), 0)


def _points(interval: Interval) -> float | None:
    return None if interval.reach is None else 100 * interval.reach


@styled
def draw_groups(rows: Sequence[Measured]) -> Figure:
    """Every group of factors by itself: each row's mean with its 95% interval, and its seeds as dots."""
    figure, panels = plt.subplots(1, len(NAMES), figsize=(WIDTH * 1.35, 1.3 + 0.27 * len(rows)), sharey=True)
    for axes, (column, name) in zip(panels, NAMES.items(), strict=True):
        for place, one in enumerate(rows):
            score = one.scores[column]
            style: Any = {"fmt": "D", "color": _colour(one.row.label), "linewidth": 4, "alpha": 0.75}
            axes.errorbar(100 * score.mean, place, xerr=_points(score), **style)
            axes.scatter(
                [100 * value for value in score.values], [place] * len(score.values), s=9, color=TRUE, zorder=3
            )
        axes.set_xlabel(name, fontsize=8.5)
        axes.margins(x=0.12)
        axes.grid(axis="x", color=FAINT)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(rows)), [one.row.label for one in rows])
    panels[0].invert_yaxis()
    best = {column: max(rows, key=lambda one: one.scores[column].mean).row.label for column in NAMES}
    figure.suptitle("Highest mean: " + ", ".join(f"{column} {label}" for column, label in best.items()), fontsize=11)
    return figure


@styled
def draw_wrong_orders(found: Mapping[tuple[str, str], tuple[float, float]]) -> Figure:
    """For every row: how far its mean lies from its default's, and how often one seed of each orders them wrongly."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.5))
    for distance, share in found.values():
        axes.plot(distance, 100 * share, "o", color=WRONG if share else NEUTRAL, alpha=0.8, markersize=6)
    axes.axhline(50, color=TRUE, linewidth=0.9, linestyle=":")
    axes.annotate("a coin", (1, 50), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=9)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks([0, 1, 2, 5, 10, 20], ["0", "1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.set(xlabel="difference of the two means, points", ylabel="single pairs in the wrong order, %", ylim=(-3, 60))
    axes.set_xlim(left=0)
    misled = [share for _, share in found.values() if share]
    axes.set_title(
        f"{len(misled)} of {len(found)} rows can be misordered; of all single pairs, "
        f"{fmean(share for _, share in found.values()):.0%} are"
    )
    return figure
