"""What a word owes to the picture, drawn: gradients on patches, losses by kind and place, the next word, the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.report.style import IMAGE, NEUTRAL, TEXT, TRUE, WIDTH, WRONG, colour_scale, styled, tint

SMOOTHED = 10  # steps that a drawn point averages over
SHOWN_WORDS = 8  # bars of the next word
LINES = (NEUTRAL, WRONG)  # of the runs: the language model, then the one with the bug
NEEDS = 1.0  # nats that the own picture must save for a kind of word to "need" it
ARRANGEMENTS = {"own picture": IMAGE, "no picture (language model)": NEUTRAL, "another picture": WRONG}


class NextWords(NamedTuple):
    """One scene: its picture and another's (3, height, width) in 0 … 1, the caption's words, and the probabilities
    (T, V) of the word at every place beside either picture, with the words that the V columns stand for."""

    picture: Tensor
    other_picture: Tensor
    words: list[str]
    own: Tensor
    other: Tensor
    vocabulary: list[str]


@styled
def draw_caption_reach(picture: Tensor, gradients: Mapping[str, Tensor]) -> Figure:
    """Gradients (I,) of the caption loss on the patches of a picture (3, height, width), for named orders.

    The title counts the patches that are reached; all maps share one scale.
    """
    figure, axes = plt.subplots(1, len(gradients) + 1, figsize=(WIDTH, 3.1))
    _show_picture(axes[0], picture, "the picture")
    highest = max(float(gradient.max()) for gradient in gradients.values())
    for panel, (name, gradient) in zip(axes[1:], gradients.items(), strict=True):
        _show_gradient(panel, gradient, highest)
        panel.set_title(name, fontweight="normal", loc="center")
    reached = [f"{int((gradient > 0).sum())} of {len(gradient)} ({name})" for name, gradient in gradients.items()]
    figure.suptitle(f"Patches that the caption loss reaches: {', '.join(reached)}", x=0.01, ha="left", fontsize=11)
    return figure


@styled
def draw_word_gradients(picture: Tensor, words: Sequence[str], gradients: Tensor) -> Figure:
    """Gradients (T, I) of every word's loss on the patches of the picture, on one scale; the title names the three
    words with the largest."""
    per_line = 5
    lines = -(-(len(words) + 1) // per_line)
    figure, axes = plt.subplots(lines, per_line, figsize=(WIDTH, 1.75 * lines + 0.5))
    panels = list(axes.flat)
    _show_picture(panels[0], picture, "the picture")
    for panel, word, gradient in zip(panels[1:], words, gradients, strict=False):
        _show_gradient(panel, gradient, float(gradients.max()))
        panel.set_title(f"“{word}”" if word != "end" else "end", color=TEXT, loc="center")
    for panel in panels[len(words) + 1 :]:
        panel.set_axis_off()
    strongest = gradients.sum(dim=1).topk(min(3, len(words))).indices.sort().values
    named = ", ".join(f"“{words[int(place)]}”" for place in strongest)
    figure.suptitle(f"The words that pull hardest on the patches: {named}", x=0.01, ha="left", fontsize=11)
    return figure


def _show_picture(axes: Axes, picture: Tensor, title: str) -> None:
    axes.imshow(picture.permute(1, 2, 0).numpy())
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontweight="normal", loc="center")


def _show_gradient(axes: Axes, gradient: Tensor, highest: float) -> None:
    """A square map of the patches, white at zero."""
    side = round(len(gradient) ** 0.5)
    axes.imshow(gradient.reshape(side, side).numpy(), cmap=colour_scale(TEXT), vmin=0, vmax=highest)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=NEUTRAL)


@styled
def draw_caption_losses(losses: Mapping[str, Sequence[float]], marks: Mapping[str, float]) -> Figure:
    """Caption losses of one or two named runs, averaged over a few steps, with named levels to compare them with.

    The title says where the runs end. Raises ValueError for runs too short to be averaged, or too many.
    """
    if len(losses) > len(LINES) or min(map(len, losses.values())) < SMOOTHED:
        raise ValueError(f"draw at most {len(LINES)} runs of at least {SMOOTHED} steps, not {len(losses)}")
    figure, axes = plt.subplots(figsize=(WIDTH, 3.3))
    ends = []
    for (name, run), colour in zip(losses.items(), LINES, strict=False):
        smooth = torch.tensor(run).unfold(0, SMOOTHED, 1).mean(dim=1)
        axes.plot(range(SMOOTHED, len(run) + 1), smooth, color=colour, label=name)
        ends.append(f"{smooth[-1].item():.2f} ({name})")
    for (name, level), line in zip(marks.items(), (":", "--", "-."), strict=False):
        axes.axhline(level, color=TRUE, linewidth=1.1, linestyle=line, label=f"{name}: {level:.2f}")
    axes.set(xlabel="step", ylabel="caption loss (nats per token)")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")
    axes.set_title(f"The caption loss ends at {', '.join(ends)}")
    return figure


@styled
def draw_words_and_pictures(by_kind: Mapping[str, Sequence[float]], by_place: Sequence[Tensor]) -> Figure:
    """The loss by kind of word and by place in the caption: own picture, no picture, another picture.

    `by_kind` holds three numbers for each kind, `by_place` three curves (places,). The title names the kinds for which
    the own picture saves more than NEEDS nats against another.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 1.2, 3.9), width_ratios=(1.25, 1))
    rows = np.arange(len(by_kind))
    for number, (name, colour) in enumerate(ARRANGEMENTS.items()):
        values = [losses[number] for losses in by_kind.values()]
        bars = left.barh(rows + (number - 1) * 0.27, values, height=0.25, color=colour, label=name)
        left.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        right.plot(range(len(by_place[number])), by_place[number], color=colour, marker="o", markersize=3.5, label=name)
    left.set_yticks(rows, list(by_kind))
    left.invert_yaxis()
    left.set(xlabel="caption loss (nats per token)", xlim=(0, 1.12 * max(map(max, by_kind.values()))))
    right.set(xlabel="place in the caption, from 0", ylabel="caption loss (nats per token)")
    right.set_ylim(0, 1.45 * max(float(curve.max()) for curve in by_place))  # room for the legend
    right.legend(loc="upper right")
    needing = [kind for kind, (own, _, other) in by_kind.items() if other - own > NEEDS]
    figure.suptitle(f"These words need their picture: {', '.join(needing) or 'none'}", x=0.01, ha="left", fontsize=11)
    return figure


@styled
def draw_next_word(scenes: Sequence[NextWords], scene: int, place: int) -> Figure:
    """The likeliest next words at one place of a caption, beside the scene's own picture and beside another.

    The title compares what the true word gets. Raises ValueError for a place behind the caption's end.
    """
    shown = scenes[scene]
    if not 0 <= place < len(shown.words):
        raise ValueError(
            f"the caption of scene {scene} ends at place {len(shown.words) - 1}; there is no place {place}"
        )
    figure = plt.figure(figsize=(WIDTH, 4.6))
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 2.7))
    truth = shown.words[place]
    sides = (
        ("own picture", IMAGE, shown.picture, shown.own),
        ("another picture", WRONG, shown.other_picture, shown.other),
    )
    for row, (name, colour, picture, probabilities) in enumerate(sides):
        _show_picture(figure.add_subplot(grid[row, 0]), picture, name)
        axes = figure.add_subplot(grid[row, 1])
        _draw_likeliest(axes, probabilities[place], shown.vocabulary, truth, colour)
    axes.set_xlabel("probability of the next word")
    column = shown.vocabulary.index(truth) if truth in shown.vocabulary else 0
    own, other = (probabilities[place, column].item() for probabilities in (shown.own, shown.other))
    before = " ".join(["[start]", *shown.words[:place]])
    title = f"{before} …\n“{truth}” gets {own:.0%} beside its own picture, {other:.0%} beside another"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _draw_likeliest(axes: Axes, probabilities: Tensor, vocabulary: Sequence[str], truth: str, colour: str) -> None:
    """Bars of the likeliest words, the true one in full colour."""
    likeliest = probabilities.topk(SHOWN_WORDS)
    names = [vocabulary[int(number)] for number in likeliest.indices]
    colours = [colour if name == truth else tint(colour, 0.35) for name in names]
    axes.barh(names, likeliest.values.tolist(), color=colours, height=0.75)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.tick_params(axis="y", length=0)
    for label in axes.get_yticklabels():
        label.set(fontweight="bold" if label.get_text() == truth else "normal")


@styled
def draw_cache_work(with_cache: Sequence[int], without: Sequence[int]) -> Figure:
    """Slots that pass through the blocks at every step of generation, with the sums in the title."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.0))
    steps = np.arange(len(without))
    axes.bar(steps - 0.2, without, width=0.38, color=NEUTRAL, label="everything again")
    axes.bar(steps + 0.2, with_cache, width=0.38, color=TEXT, label="with the cache")
    axes.set(xlabel="step: the token that is generated", ylabel="slots through the blocks")
    axes.set_xticks(steps)
    axes.set_ylim(0, 1.3 * max(without))
    axes.legend(loc="upper right", ncols=2)
    axes.set_title(f"{len(without)} tokens: {sum(with_cache)} slots with the cache, {sum(without)} without")
    return figure
