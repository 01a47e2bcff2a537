"""The generated world, drawn: scenes with boxes and captions, presets, distance fields, scores of captions, factors."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray
from torch import Tensor

from aimv2_lab.data.captions import Caption, Fact, false_facts
from aimv2_lab.data.world import Scene, boxes, masks, render
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.report.style import (
    IMAGE,
    NEUTRAL,
    TEXT,
    TRUE,
    WIDTH,
    WRONG,
    colour_scale,
    difference_scale,
    styled,
    tint,
)

CLASS_COLOURS: dict[str, Any] = {"P": IMAGE, "T": TEXT, "PT": TRUE, "N": NEUTRAL, "R": tint(TEXT, 0.6)}
CLASS_NAMES = {
    "P": "P: in the picture, never named",
    "PT": "PT: both",
    "T": "T: quiet in the picture, named",
    "N": "N: noise and clutter",
    "R": "R: follows from the others, named",
}
TEXT_SHARE = 1.75  # width of a scene's captions, in widths of its picture
_HALO = [patheffects.withStroke(linewidth=3.5, foreground="white")]


@styled
def draw_scene(preset: str, index: int, size: int = 96) -> Figure:
    """One training scene at `size` pixels: boxes, visible masks, first and last caption with the facts they state.

    Raises KeyError for an unknown preset, ValueError for a scene that does not exist.
    """
    source = WorldSource(preset, "train", size=size)
    if not 0 <= index < len(source):
        raise ValueError(f"scene {index} does not exist; world:{preset} has training scenes 0 … {len(source) - 1}")
    scene, captions = source.scene(index), source.captions(index)
    figure, (picture, covered, texts) = plt.subplots(1, 3, figsize=(WIDTH * 1.4, 3.55), width_ratios=[1, 1, TEXT_SHARE])
    picture.imshow(render(scene, size))
    picture.set_title(f"{preset}, scene {index}: boxes")
    _draw_boxes(picture, scene, size)
    covered.imshow(_mask_picture(scene, size))
    covered.set_title("what is seen of each object")
    for axes in (picture, covered):
        axes.set_axis_off()
    _write_captions(texts, scene, (captions[0], captions[-1]))
    return figure


def _draw_boxes(axes: Axes, scene: Scene, size: int) -> None:
    """Numbered boxes of the whole objects."""
    for number, (x0, y0, x1, y1) in enumerate(boxes(scene) * size - 0.5):
        box = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=TRUE, linewidth=1.3, path_effects=_HALO)
        axes.add_patch(box)
        axes.text(x0, y0, f"{number}", color=TRUE, fontsize=11, fontweight="bold", va="bottom", path_effects=_HALO)


def _mask_picture(scene: Scene, size: int) -> NDArray[np.float64]:
    """Visible pixels of each object in its own plain colour, (size, size, 3)."""
    canvas = np.full((size, size, 3), 0.94)
    for mask, thing in zip(masks(scene, size, visible=True), scene.objects, strict=True):
        canvas[mask] = thing.rgb
    return canvas


def _write_captions(axes: Axes, scene: Scene, captions: Sequence[Caption]) -> None:
    """Each caption, then what it states, the false part apart."""
    axes.set_axis_off()
    axes.set_box_aspect(1 / TEXT_SHARE)
    axes.set_title("first and last caption, and what they state")
    height = 0.98
    for caption in captions:
        false = false_facts(caption.facts, scene)
        true = [_short(fact) for fact in sorted(caption.facts, key=lambda fact: fact.subject) if fact not in false]
        parts = [(f"“{caption.text}”", TEXT, 10.5), ("true: " + (" · ".join(true) or "nothing"), TRUE, 9)]
        if false:
            parts.append(("false: " + " · ".join(map(_short, false)), WRONG, 9))
        for text, colour, points in parts:
            lines = textwrap.wrap(text, 62 if points > 10 else 76)
            axes.text(0, height, "\n".join(lines), color=colour, fontsize=points, va="top", linespacing=1.25)
            height -= 0.0068 * points * len(lines) + 0.02
        height -= 0.06


def _short(fact: Fact) -> str:
    """A fact in a few characters, objects by number."""
    if fact.kind == "count":
        return f"{fact.value} objects"
    return f"{fact.subject} {fact.value}" + (f" {fact.other}" if fact.kind == "relation" else "")


@styled
def draw_presets(presets: Sequence[str], columns: int = 4, size: int = 96) -> Figure:
    """The first training scenes of each preset, a row for every preset, with their last captions."""
    figure, panels = plt.subplots(len(presets), columns, figsize=(WIDTH * 1.25, 3.3 * len(presets)), squeeze=False)
    for row, preset in zip(panels, presets, strict=True):
        source = WorldSource(preset, "train", size=size)
        for index, axes in enumerate(row):
            pair = source[index]
            axes.imshow(pair.image)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            caption = "\n".join(textwrap.wrap(pair.captions[-1], 34))
            axes.set_xlabel(caption, color=TEXT, fontsize=8.5, loc="left")
        row[0].set_ylabel(preset, fontsize=13, fontweight="bold")
    figure.suptitle("Three worlds from one generator: learnable in minutes, separating, everything at once")
    return figure


@styled
def draw_distance_field(distance: NDArray[np.float64], cover: NDArray[np.float64], picture: Tensor) -> Figure:
    """A small signed distance field (rows, columns) in pixels, the cover of each pixel, and the picture (3, …)."""
    figure, panels = plt.subplots(1, 3, figsize=(WIDTH * 1.4, 4.0))
    span = float(np.abs(distance).max())
    panels[0].imshow(distance, cmap=difference_scale(), vmin=-span, vmax=span)
    panels[0].contour(distance, levels=[0.0], colors=TRUE, linewidths=4, alpha=0.25)
    panels[0].set_title("Distance to the edge, in pixels:\nnegative inside")
    panels[1].imshow(cover, cmap=colour_scale(IMAGE), vmin=0, vmax=1)
    panels[1].set_title("Cover: ½ − distance,\ncut to 0 … 1")
    panels[2].imshow(picture.permute(1, 2, 0).numpy())
    panels[2].set_title("Picture: ground\n+ cover · (colour − ground)")
    for axes, values in zip(panels, (distance, cover), strict=False):
        _write_numbers(axes, values)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    return figure


def _write_numbers(axes: Axes, values: NDArray[np.float64]) -> None:
    """Every entry of a small matrix, in an ink that can be read on its colour."""
    strong = 0.75 * np.abs(values).max()
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        ink = "white" if abs(value) > strong else TRUE
        text = f"{value:.1f}".replace("-", "−")
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=ink)


@styled
def draw_scores(scores: Mapping[str, Sequence[float]], measure: str, finding: str) -> Figure:
    """Distributions of one score, a row per kind of caption: the first kind is true, the others are not."""
    figure, panels = plt.subplots(len(scores), 1, figsize=(WIDTH, 1.15 * len(scores) + 0.8), sharex=True)
    for axes, (kind, values), colour in zip(panels, scores.items(), (TEXT, WRONG, NEUTRAL), strict=True):
        mean = float(np.mean(values))
        axes.hist(
            values, bins=np.linspace(0, 1, 21).tolist(), color=colour, weights=np.full(len(values), 1 / len(values))
        )
        axes.axvline(mean, color=TRUE, linewidth=1.5)
        axes.set(yticks=[], xlim=(0, 1.02))
        axes.spines["left"].set_visible(False)
        axes.set_title(f"{kind}: {mean:.2f} on average", fontsize=10, fontweight="normal")
    panels[-1].set_xlabel(measure)
    figure.suptitle(finding, fontsize=11)
    return figure


@styled
def draw_factor_shares(
    classes: Mapping[str, str], raw: Mapping[str, float], target: Mapping[str, float], facts: Mapping[str, float]
) -> Figure:
    """How much each factor is worth to the pixel loss and to captions, as shares; a row per factor.

    `classes` holds factor -> class; factors of `facts` that have none are derived from others and have no pixels.
    """
    figure, (pixels, words) = plt.subplots(1, 2, figsize=(WIDTH * 1.3, 4.8), sharey=True, width_ratios=[1.25, 1])
    factors = list(facts)
    colours = [CLASS_COLOURS[classes.get(factor, "R")] for factor in factors]
    for row, (factor, colour) in enumerate(zip(factors, colours, strict=True)):
        pixels.barh(row - 0.2, 100 * raw.get(factor, 0), height=0.36, color=tint(colour, 0.4))
        pixels.barh(row + 0.2, 100 * target.get(factor, 0), height=0.36, color=colour)
        words.barh(row, 100 * facts[factor], height=0.6, color=colour)
        if factor in classes:
            pixels.text(100 * target[factor] + 0.7, row + 0.2, f"{100 * target[factor]:.1f}", va="center", fontsize=8)
        words.text(100 * facts[factor] + 0.4, row, f"{100 * facts[factor]:.1f}", va="center", fontsize=8)
    pixels.set_yticks(range(len(factors)), factors)
    pixels.invert_yaxis()
    pixels.set(xlabel="share of the change, % (pale: raw pixels, full: pixel target)", title="In the picture")
    words.set(xlabel="share of the facts stated, %", title="In the caption")
    words.set_xlim(0, 110 * max(facts.values()))
    words.legend(handles=[Patch(color=CLASS_COLOURS[c], label=CLASS_NAMES[c]) for c in CLASS_NAMES], fontsize=8)
    finding = f"Marks: {100 * target['marks']:.1f} % of the pixel target, {100 * facts['marks']:.0f} % of what is said"
    figure.suptitle(finding)
    return figure
