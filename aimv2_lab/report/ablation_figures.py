"""The ablations drawn: every row with its seeds, beside the paper's numbers of it; and all differences at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aimv2_lab.evaluation.ablations.comparing import Column, Measured
from aimv2_lab.evaluation.ablations.tables import ABLATIONS, Ablation, Row
from aimv2_lab.evaluation.ablations.verdicts import Verdict, verdict
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TRUE, WIDTH, WRONG, styled

SIDES = {"above": PREFIX, "below": WRONG, "not told apart": NEUTRAL}
# Of a verdict, beside a row: marker, face and edge.
MARKS: Mapping[Verdict, tuple[str, str, str]] = {
    "shows": ("o", IMAGE, IMAGE),
    "does not show": ("o", "white", NEUTRAL),
    "shows the opposite": ("X", WRONG, "white"),
}
LABELS: Mapping[Verdict, str] = {
    "shows": "the paper's difference shows",
    "does not show": "the paper's difference does not show",
    "shows the opposite": "the opposite shows",
}
GAP = 0.4  # rows, between two tables
TICKS = (-20, -5, -2, -1, 0, 1, 2, 5)
LINEAR = 2.0  # points; beyond, the axis of all differences is logarithmic
ROW, FRAME = 0.27, 1.05  # inches: a row's height, and what a table needs beside its rows
Tables = Mapping[str, Sequence[Measured]]


@styled
def draw_ablation(name: str, rows: Sequence[Measured], column: Column = "P and T") -> Figure:
    """One table: every row's seeds as dots, their mean with its 95% interval and the paired difference to the default,
    dotted; beside it the paper's columns, each on its own axis. Rows that the paper lacks stay empty there.

    Hollow, with a question mark: numbers known second-hand. The title counts the clear differences.
    """
    figure = plt.figure(figsize=(WIDTH * 1.3, FRAME + 0.1 + ROW * len(rows)))
    _draw_table(figure, ABLATIONS[name], rows, column)
    return figure


@styled
def draw_ablations(measured: Tables, column: Column = "P and T") -> Figure:
    """Several tables, one below the other, each as `draw_ablation` draws it."""
    heights = [FRAME + ROW * len(rows) for rows in measured.values()]
    figure = plt.figure(figsize=(WIDTH * 1.3, sum(heights)))
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (name, rows) in zip(parts, measured.items(), strict=True):
        _draw_table(part, ABLATIONS[name], rows, column)
    return figure


def draw_chosen(measured: Tables, table: str, column: Column) -> Figure:
    """The table of that name, for a menu."""
    return draw_ablation(table, measured[table], column)


def finding(table: Ablation, rows: Sequence[Measured], column: Column = "P and T") -> str:
    """How many rows lie clearly above or below the default: a table's title."""
    sides: Counter[str] = Counter(one.clear(column) for one in rows if one.differences is not None)
    parts = [f"{sides[side]} {side}" for side in SIDES if sides[side]]
    return f"{table.title}: {', '.join(parts)} (against {table.default})"


def _draw_table(figure: Any, table: Ablation, rows: Sequence[Measured], column: Column) -> None:
    columns = table.columns
    panels = figure.subplots(
        1, 1 + max(len(columns), 1), sharey=True, squeeze=False, width_ratios=[4.2] + [1.0] * max(len(columns), 1)
    )[0]
    _draw_seeds(panels[0], rows, column)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    for number, panel in enumerate(panels[1:]):
        _clear(panel)
        if columns:
            _draw_paper(panel, columns[number], [one.row for one in rows], number)
    if not columns:
        panels[1].set_visible(False)
    figure.suptitle(finding(table, rows, column), fontsize=11, x=0.01, ha="left")


def _draw_seeds(axes: Axes, rows: Sequence[Measured], column: Column) -> None:
    for place, one in enumerate(rows):
        score = one.scores[column]
        colour = TRUE if one.differences is None else SIDES[one.clear(column)]
        axes.scatter([100 * value for value in score.values], [place] * len(score.values), s=13, color=TRUE, zorder=3)
        _draw_interval(axes, score, place, colour)
        text = "default" if one.differences is None else _signed(one.differences[column])
        ink = TRUE if colour == NEUTRAL else colour
        _write_beside(axes, place, text, 4, 8.5, ink)
        if one.differences is None:
            axes.axvline(100 * score.mean, color=TRUE, linewidth=0.9, linestyle=":", zorder=0)
    axes.set_yticks(range(len(rows)), [one.row.label for one in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{column}: probe's top-1, %", fontsize=9)
    axes.margins(x=0.06)
    axes.grid(axis="x", color=FAINT)


def _write_beside(axes: Axes, place: float, text: str, gap: float, size: float, colour: str) -> None:
    """A number at the right of a row, `gap` points behind the frame."""
    axes.annotate(
        text,
        (1.0, place),
        xycoords=("axes fraction", "data"),
        xytext=(gap, 0),
        textcoords="offset points",
        va="center",
        fontsize=size,
        color=colour,
    )


def _draw_interval(axes: Axes, interval: Interval, place: float, colour: str, scale: float = 100) -> None:
    reach = None if interval.reach is None else scale * interval.reach
    axes.errorbar(
        scale * interval.mean, place, xerr=reach, color=colour, fmt="D", markersize=6, linewidth=3.5, alpha=0.75
    )


def _signed(interval: Interval) -> str:
    """A difference in points with its reach."""
    reach = "" if interval.reach is None else f" ± {100 * interval.reach:.1f}"
    return f"{100 * interval.mean:+.1f}{reach}".replace("-", "−")


def _draw_paper(axes: Axes, name: str, rows: Sequence[Row], number: int) -> None:
    for place, row in enumerate(rows):
        if not row.paper:
            continue
        value, hollow = row.paper[number], row.unverified
        axes.plot(value, place, "o", color=IMAGE, markerfacecolor="white" if hollow else IMAGE, markersize=6)
        _write_beside(axes, place, f"{value:.1f}{' ?' if hollow else ''}", 2, 8, IMAGE)
    axes.set_xlabel(f"paper: {name}", fontsize=8.5, color=IMAGE)
    axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.margins(x=0.25)


def _clear(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.set_facecolor("#FAFAFA")


@styled
def draw_all_differences(measured: Tables, column: Column = "P and T") -> Figure:
    """Every row of every table against its default: the paired difference with its 95% interval, coloured by where it
    lies, and beside it whether the paper's difference shows. The title counts."""
    halves = _halves(measured)
    longest = max(sum(len(rows) + GAP for rows in half.values()) for half in halves)
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH * 1.35, 1.5 + 0.21 * longest), sharex=True)
    counted: Counter[str] = Counter()
    for axes, half in zip(panels, halves, strict=True):
        counted.update(_draw_half(axes, half, column))
        axes.set_ylim(longest - GAP, -0.6)
        axes.set_xscale("symlog", linthresh=LINEAR)
        axes.set_xticks(TICKS, [f"{tick:+d}".replace("-", "−") if tick else "0" for tick in TICKS])
        axes.minorticks_off()
        axes.set_xlabel(f"points of {column}, logarithmic beyond {LINEAR:g}", fontsize=9)
    _legend(figure)
    parts = ", ".join(f"{counted[side]} {side}" for side in SIDES)
    figure.suptitle(f"{counted.total()} rows against their defaults: {parts}")
    return figure


def _halves(measured: Tables) -> tuple[dict[str, Sequence[Measured]], dict[str, Sequence[Measured]]]:
    """The tables in two columns of about equal height."""
    whole, taken = sum(len(rows) + GAP for rows in measured.values()), 0.0
    first: dict[str, Sequence[Measured]] = {}
    second: dict[str, Sequence[Measured]] = {}
    for name, rows in measured.items():
        (first if taken + len(rows) / 2 < whole / 2 else second)[name] = rows
        taken += len(rows) + GAP
    return first, second


def _draw_half(axes: Axes, half: Tables, column: Column) -> Counter[str]:
    place, labels, counted = 0.0, {}, Counter[str]()
    for name, rows in half.items():
        table = ABLATIONS[name]
        _write_title(axes, place, f"{table.title}, against {table.default}")
        for one in rows:
            if one.differences is None:
                continue
            place += 1
            side = one.clear(column)
            counted[side] += 1
            labels[place] = one.row.label
            _draw_interval(axes, one.differences[column], place, SIDES[side])
            _draw_verdict(axes, place, verdict(table, one, column))
        place += 1 + GAP
    axes.axvline(0, color=TRUE, linewidth=0.9, linestyle=":", zorder=0)
    axes.set_yticks(list(labels), list(labels.values()), fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT)
    return counted


def _write_title(axes: Axes, place: float, title: str) -> None:
    """A table's title above its rows, from where their labels begin."""
    offset: Any = {"xytext": (-100, 0), "textcoords": "offset points"}
    text = axes.annotate(title, (0.0, place), xycoords=("axes fraction", "data"), **offset, va="center", fontsize=7.8)
    text.set(fontweight="bold", in_layout=False)


def _draw_verdict(axes: Axes, place: float, word: Verdict | None) -> None:
    if word:
        marker, face, edge = MARKS[word]
        beside: Any = {"transform": axes.get_yaxis_transform(), "clip_on": False}
        axes.plot(1.03, place, marker, color=face, markeredgecolor=edge, markersize=7, **beside)


def _legend(figure: Figure) -> None:
    sides: list[Any] = [
        Line2D(
            [],
            [],
            marker="D",
            linewidth=3.5,
            color=colour,
            label=f"{side} {'from' if 'told' in side else 'the'} default",
        )
        for side, colour in SIDES.items()
    ]
    marks: list[Any] = [
        Line2D([], [], marker=marker, linewidth=0, color=face, markeredgecolor=edge, markersize=7, label=LABELS[word])
        for word, (marker, face, edge) in MARKS.items()
    ]
    figure.legend(handles=sides + marks, loc="outside lower center", ncols=2, fontsize=8.5)
