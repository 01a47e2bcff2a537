"""The objective, drawn: what counts in a batch, what cutting it does, and what the pixel loss's weight trades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from aimv2_lab.report.stored import StoredResult
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, styled, tint

SMOOTHED = 10  # steps that a drawn point averages over
ALPHA = r"$\alpha$"
PALE_TEXT = to_hex(tint(TEXT, 0.7))  # tokens beside the end token


@styled
def draw_counted(prefix_lengths: Tensor, counted_tokens: Tensor, patches: int) -> Figure:
    """What counts in a batch, one row per pair: I image outputs, then T text outputs, of which (B, T) count."""
    outputs = torch.arange(patches)
    image = (outputs >= prefix_lengths[:, None] - 1).int()
    image[:, -1] = 0
    ends = counted_tokens.int() + (counted_tokens & (counted_tokens.int().cumsum(dim=1) == counted_tokens.sum(1, True)))
    kinds = torch.cat([image, torch.where(counted_tokens, ends + 1, 0)], dim=1)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 + 0.22 * len(kinds)))
    axes.imshow(kinds.numpy(), cmap=ListedColormap([FAINT, IMAGE, PALE_TEXT, TEXT]), vmin=0, vmax=3, aspect="auto")
    axes.set_xticks(np.arange(kinds.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(kinds) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    tokens = counted_tokens.shape[1]
    axes.set_xticks(range(patches + tokens), [*map(str, range(patches)), *map(str, range(tokens))], fontsize=8)
    axes.set_yticks(range(len(kinds)), [f"M = {length}" for length in prefix_lengths.tolist()], fontsize=8)
    axes.axvline(patches - 0.5, color=TRUE, linewidth=1.5)
    axes.set_xlabel("image output i, then text output t")
    names = {IMAGE: "next patch counts", PALE_TEXT: "next token counts", TEXT: "so does the end token"}
    handles = [Patch(color=colour, label=name) for colour, name in (names | {FAINT: "does not count"}).items()]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.02), handlelength=1.0)
    of_pixels, of_text = int(image.sum()), int(counted_tokens.sum())
    axes.set_title(
        f"{of_pixels} of {image.numel()} image outputs count, and {of_text} of {counted_tokens.numel()} text outputs"
    )
    return figure


@styled
def draw_cuts(
    sizes: Sequence[int], means: Sequence[tuple[float, float]], shares: Sequence[tuple[float, float]]
) -> Figure:
    """The same batch cut into micro-batches: (pixel loss, relative error of the gradient) for every size, both ways."""
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 3.4))
    places = range(len(sizes))
    for panel, column, label in zip(panels, (0, 1), ("pixel loss reported", "gradient's relative error"), strict=True):
        panel.plot(places, [pair[column] for pair in means], color=WRONG, marker="o", label="mean of means")
        panel.plot(places, [pair[column] for pair in shares], color=IMAGE, marker="o", label="shares of global counts")
        panel.set_xticks(places, [str(size) for size in sizes])
        panel.set(xlabel="pairs per micro-batch", ylabel=label)
        panel.grid(axis="y", color=NEUTRAL, alpha=0.4, linewidth=0.6)
    panels[0].legend(loc="lower left")
    low = min(pixel for pixel, _ in means)
    figure.suptitle(
        f"One batch, one model: the mean of means says {low:.2f} to {means[0][0]:.2f}; "
        f"its gradient is off by up to {max(error for _, error in means):.0%}",
        fontsize=11,
    )
    return figure


@styled
def draw_caption_losses(losses: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Caption losses of named runs, each point the mean of a few steps."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2))
    for (name, run), colour, line in zip(losses.items(), (PREFIX, WRONG, TEXT), ("-", "-", "--"), strict=False):
        smooth = torch.tensor(run).unfold(0, SMOOTHED, 1).mean(dim=1)
        axes.plot(
            range(SMOOTHED, len(run) + 1), smooth, color=colour, linestyle=line, label=f"{name}: {smooth[-1]:.2f}"
        )
    axes.set(xlabel="step", ylabel=f"caption loss, mean of {SMOOTHED} steps", ylim=(0, None))
    axes.legend(loc="upper right")
    axes.set_title(title)
    return figure


def by_weight(result: StoredResult, measure: str) -> dict[float, list[float]]:
    """A measure of a stored sweep over the pixel weight: weight -> one value per seed, weights ascending."""
    weights = sorted({float(run["value"]) for run in result.values})
    return {weight: [run["measures"][measure] for run in result.values if run["value"] == weight] for weight in weights}


@styled
def draw_weight_trade(result: StoredResult, untrained: StoredResult) -> Figure:
    """A stored sweep over the pixel weight: held-out losses against each other, and what the models know.

    A dot is a run, a ring or a line the mean of the seeds; dotted, the mean probe on the same models untrained.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9), width_ratios=(1.3, 1))
    pixel, text = by_weight(result, "pixel"), by_weight(result, "text")
    centres = [(float(np.mean(pixel[weight])), float(np.mean(text[weight]))) for weight in pixel]
    left.plot(*zip(*centres, strict=True), color=NEUTRAL, linewidth=1.2, zorder=1)
    lowest = min(captions for _, captions in centres)
    for weight, centre in zip(pixel, centres, strict=True):
        left.scatter(pixel[weight], text[weight], color=TRUE, s=10, zorder=3)
        left.scatter(*centre, facecolor="white", edgecolor=TRUE, s=60, zorder=2)
        side = -1 if weight > 1 else 1  # heavier weights lie at the left, close to each other
        height = -14 if centre[1] == lowest else 5  # beside the lowest lie the next weight's runs
        label = {"xytext": (8 * side, height), "ha": "right" if side < 0 else "left", "fontsize": 9}
        left.annotate(f"{ALPHA} = {weight:g}", centre, textcoords="offset points", **label)
    left.set(xlabel="pixel loss, held out", ylabel="caption loss, held out (nats)")
    left.margins(x=0.26, y=0.1)
    _draw_knowledge(right, result)
    probed = 100 * float(np.mean([run["measures"]["shape_probe"] for run in untrained.values]))
    right.axhline(probed, color=IMAGE, linewidth=1, linestyle=":", label=f"untrained: {probed:.0f}")
    right.legend(loc="lower right")
    ends = {weight: captions for weight, (_, captions) in zip(pixel, centres, strict=True)}
    best = min(ends, key=lambda weight: ends[weight])
    others = ", ".join(f"{ends[weight]:.2f} at {weight:g}" for weight in (min(ends), max(ends)))
    figure.suptitle(f"Captions are learned best at {ALPHA} = {best:g}: loss {ends[best]:.2f}; {others}", fontsize=11)
    return figure


def _draw_knowledge(axes: Axes, result: StoredResult) -> None:
    """True facts and probed shapes by weight, in percent."""
    for measure, name, colour in (
        ("true_facts", "true facts in captions", TEXT),
        ("shape_probe", "probed shapes", IMAGE),
    ):
        values = by_weight(result, measure)
        places = range(len(values))
        axes.plot(places, [100 * np.mean(seeds) for seeds in values.values()], color=colour, label=name)
        for place, seeds in zip(places, values.values(), strict=True):
            axes.scatter([place] * len(seeds), [100 * seed for seed in seeds], color=colour, s=12)
    axes.set_xticks(places, [f"{weight:g}" for weight in values])
    axes.set(xlabel=f"pixel weight {ALPHA}", ylabel="%", ylim=(0, 100))


@styled
def draw_weight_curves(result: StoredResult, pixel_weight: float) -> Figure:
    """Training curves of a stored sweep, mean of the seeds: one pixel weight in colour, the others grey behind it.

    Raises ValueError for a weight that the sweep does not hold.
    """
    weights = list(by_weight(result, "pixel"))
    if pixel_weight not in weights:
        raise ValueError(f"no run with a pixel weight of {pixel_weight}; the sweep has {weights}")
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 3.3))
    ends: dict[str, float] = {}
    for panel, loss, colour in zip(panels, ("pixel", "text"), (IMAGE, TEXT), strict=True):
        for weight in sorted(weights, key=lambda weight: weight == pixel_weight):  # the chosen one last, on top
            steps, curve = _mean_curve(result, weight, loss)
            chosen = weight == pixel_weight
            panel.plot(steps, curve, color=colour if chosen else NEUTRAL, linewidth=2.2 if chosen else 1.0)
            ends |= {loss: curve[-1]} if chosen else {}
        panel.set(xlabel="step", ylabel="pixel loss" if loss == "pixel" else "caption loss (nats)")
        panel.grid(axis="y", color=NEUTRAL, alpha=0.4, linewidth=0.6)
    panels[1].set_ylim(0.9, 3.0)
    at_the_end = f"pixel loss {ends['pixel']:.2f}, caption loss {ends['text']:.2f}"
    figure.suptitle(f"{ALPHA} = {pixel_weight:g} ends at {at_the_end}", fontsize=11)
    return figure


def _mean_curve(result: StoredResult, weight: float, loss: str) -> tuple[list[float], list[float]]:
    curves: list[dict[str, Any]] = [run["curves"] for run in result.values if run["value"] == weight]
    return curves[0]["step"], np.mean([curve[loss] for curve in curves], axis=0).tolist()
