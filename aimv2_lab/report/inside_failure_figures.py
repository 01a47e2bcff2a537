"""Where a model fails: kinds of facts beside a blind guess, confusions, and captions with what is false in them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.evaluation.fact_kinds import JudgedFact
from aimv2_lab.report.inside_figures import draw_grouped_shares, show_picture
from aimv2_lab.report.style import NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, colour_scale, styled


@styled
def draw_fact_kinds(true: Mapping[str, tuple[int, int]], guess: Mapping[str, float]) -> Figure:
    """The true share of each kind of fact, given as (true, stated), beside what a blind guess would earn."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.42 * len(true)))
    shares = {kind: right / stated if stated else 0.0 for kind, (right, stated) in true.items()}
    blind = [kind for kind, share in shares.items() if share <= guess[kind]]
    for row, (kind, (right, stated)) in enumerate(true.items()):
        axes.barh(row, shares[kind], color=WRONG if kind in blind else PREFIX)
        axes.plot([guess[kind]] * 2, [row - 0.42, row + 0.42], color=TRUE, linestyle=":", linewidth=1.8)
        text = f"{shares[kind]:.0%}: {right} of {stated}"
        axes.text(max(shares[kind], guess[kind]) + 0.01, row, text, va="center", fontsize=9)
    axes.plot([], [], color=TRUE, linestyle=":", label="a blind guess")
    axes.set_yticks(range(len(true)), list(true))
    axes.invert_yaxis()
    axes.set(xlabel="share of stated facts that are true", xlim=(0, 1.3))
    axes.legend(loc="lower right")
    axes.set_title(f"No better than a blind guess: {', '.join(blind)}" if blind else "All kinds beat a blind guess")
    return figure


@styled
def draw_confusions(counts: Mapping[str, Sequence[Sequence[int]]], values: Sequence[str]) -> Figure:
    """Counts of true (rows) against said (columns), one matrix per name; the title names the most frequent mistake."""
    figure, panels = plt.subplots(1, len(counts), figsize=(WIDTH, 3.7), squeeze=False)
    mistakes = []
    for axes, (name, matrix) in zip(panels[0], counts.items(), strict=True):
        found = np.array(matrix)
        shares = found / np.maximum(found.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=colour_scale(TEXT), vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(found):
            ink = "white" if shares[row, column] > 0.6 else TRUE
            axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=9)
        axes.set_xticks(range(len(values)), values, rotation=35, ha="right")
        axes.set_yticks(range(len(values)), values)
        axes.set(xlabel="said", ylabel="true")
        axes.set_title(name, fontsize=10, fontweight="normal", loc="center")
        off = found - np.diag(np.diag(found))
        row, column = np.unravel_index(off.argmax(), off.shape)
        mistakes.append((int(off.max()), f"{name}: {values[row]} called {values[column]}"))
    count, mistake = max(mistakes)
    figure.suptitle(f"The most frequent mistake, {count} times: {mistake}", fontsize=11)
    return figure


@styled
def draw_fact_shift(shares: Mapping[str, Mapping[str, float]], guess: Mapping[str, float]) -> Figure:
    """True shares of kinds of facts on several sets of pictures, {set: {kind: share}}; the first is the usual one."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    draw_grouped_shares(axes, shares, guess, (NEUTRAL, TEXT, WRONG))
    axes.set_ylabel("share of stated facts that are true")
    usual, *others = shares
    drops = {(kind, other): shares[usual][kind] - shares[other][kind] for kind in guess for other in others}
    kind, other = max(drops, key=drops.__getitem__)
    named = kind.replace("\n", " ")
    axes.set_title(f"The deepest fall: {named}, {shares[usual][kind]:.2f} to {shares[other][kind]:.2f} with {other}")
    return figure


class Captioned(NamedTuple):
    """A picture (3, height, width) in 0 … 1, a heading, a caption, and what is to be said of it."""

    picture: Tensor
    heading: str
    caption: str
    note: str
    right: bool | None = None  # None where nothing can be right


def faults(facts: Sequence[JudgedFact]) -> str:
    """What is false in a caption, in a few words: "cross (a bar), the direction"; empty when nothing is."""
    return ", ".join(
        "the direction" if fact.kind == "direction" else f"{fact.said} ({fact.true or 'no such object'})"
        for fact in facts
        if not fact.right
    )


@styled
def draw_captioned(shown: Sequence[Captioned], title: str) -> Figure:
    """Pictures in a row, each with its caption: green when right, wine red when not."""
    figure, panels = plt.subplots(1, len(shown), figsize=(WIDTH, 1.5 + WIDTH / len(shown)), squeeze=False)
    for axes, one in zip(panels[0], shown, strict=True):
        show_picture(axes, one.picture, one.heading)
        width = round(64 / len(shown))
        caption = "\n".join(textwrap.wrap(f"“{one.caption}”", width))
        note = "\n".join(textwrap.wrap(one.note, width))
        colour = {None: TRUE, True: PREFIX, False: WRONG}[one.right]
        place = {"transform": axes.transAxes, "va": "top", "fontsize": 9}
        lines = caption.count("\n") + 1
        axes.text(0, -0.05, caption, color=colour, **place)
        axes.annotate(
            note, (0, -0.05), (0, -13.5 * lines), xycoords="axes fraction", textcoords="offset points",
            va="top", fontsize=8.5, color=TRUE,
        )  # fmt: skip
    figure.suptitle(title, fontsize=11)
    return figure
