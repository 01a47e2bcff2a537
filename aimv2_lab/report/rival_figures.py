"""What each objective is given, who sees whom in it, and what it has to say: one row for every rival."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from aimv2_lab.data.records import Pair
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.evaluation.probing.factors import FactorLabels
from aimv2_lab.model.masks import causal_mask, parallel_mask, prefix_mask
from aimv2_lab.model.objective import counted_outputs
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, styled
from aimv2_lab.report.world_figures import CLASS_COLOURS, CLASS_NAMES


@dataclass(frozen=True)
class View:
    """One objective on one pair.

    Which patches (I,) the encoder is given and which are predicted; who sees whom in the encoder, and in what follows
    it, of whose slots the first `patches` are patches; what is said of the caption; how many patches are the prefix.
    """

    name: str
    given: Tensor
    predicted: Tensor
    encoder: Tensor
    second: Tensor
    second_name: str
    patches: int
    says: str
    prefix: int = 0


def rival_views(patches: int, tokens: int, prefix_length: int, visible: Tensor) -> tuple[View, ...]:
    """AIMv2 and its rivals on a picture of so many patches and a caption of so many tokens; a masked autoencoder sees
    the patches that `visible` (I,) marks."""
    length = torch.tensor([prefix_length])
    prefix, whole = prefix_mask(length, patches)[0, 0], torch.ones(patches, patches, dtype=torch.bool)
    behind = torch.cat([torch.tensor([False]), counted_outputs(length, patches)[0]])
    every, none = torch.ones(patches, dtype=torch.bool), torch.zeros(patches, dtype=torch.bool)
    one_sequence = causal_mask(patches + tokens)
    at_once = parallel_mask(torch.tensor([True]), patches, tokens)[0, 0]
    seen = visible[:, None] & visible[None, :]
    next_words, decoder = f"{tokens} tokens, one after the other", "decoder"
    return (
        View("AIMv2", every, behind, prefix, one_sequence, decoder, patches, next_words, prefix_length),
        View("image only", every, behind, prefix, causal_mask(patches), decoder, patches, "no caption", prefix_length),
        View("caption only", every, none, prefix, one_sequence, decoder, patches, next_words, prefix_length),
        View("CapPa, 3 of 4", every, none, whole, at_once, decoder, patches, f"{tokens} tokens, all at once"),
        View("CLIP, SigLIP", every, none, whole, causal_mask(tokens), "text tower", 0, "which caption of the batch"),
        View("masked image", visible, ~visible, seen, whole, "decoder", patches, "no caption"),
    )


def as_picture(pair: Pair) -> Tensor:
    """A pair's picture (3, height, width) in 0 … 1."""
    return torch.from_numpy(np.array(pair.image)).permute(2, 0, 1) / 255


@styled
def draw_rivals(picture: Tensor, caption: str, views: Sequence[View]) -> Figure:
    """A row for every objective, on one picture (3, height, width) in 0 … 1 of square many patches: what the encoder is
    given, who sees whom there and behind it (row sees column), and what is predicted: patches and words."""
    figure, panels = plt.subplots(
        len(views), 4, figsize=(WIDTH * 1.1, 1.5 * len(views) + 0.4), width_ratios=[1, 1, 1, 2.4]
    )
    heads = ("given", "encoder", "behind it", "predicted")
    for row, view in zip(panels, views, strict=True):
        _draw_patches(row[0], picture, view.given)
        row[0].set_ylabel(view.name, fontsize=10.5, fontweight="bold")
        _draw_mask(row[1], view.encoder, len(view.given), view.prefix)
        row[1].set_xlabel(f"{len(view.encoder)} patches", fontsize=8)
        _draw_mask(row[2], view.second, view.patches)
        row[2].set_xlabel(f"{view.second_name}, {len(view.second)} slots", fontsize=8)
        _draw_predicted(row[3], picture, view, caption)
    for axes, head in zip(panels[0], heads, strict=True):
        axes.set_title(head, fontsize=10)
    return figure


def _draw_patches(axes: Axes, picture: Tensor, shown: Tensor, left: float = 0.0) -> None:
    """The picture in a unit square, with a white veil over every patch that is not shown."""
    side = round(len(shown) ** 0.5)
    axes.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy(), extent=(left, left + 1, 0, 1))
    for patch, kept in enumerate(shown.tolist()):
        row, column = divmod(patch, side)
        place = (left + column / side, 1 - (row + 1) / side)
        veil = {"facecolor": "none"} if kept else {"facecolor": FAINT}
        axes.add_patch(Rectangle(place, 1 / side, 1 / side, edgecolor="white", linewidth=0.8, **veil))  # type: ignore[arg-type]
    axes.set(xticks=[], yticks=[], xlim=(0, max(left + 1, 1)), ylim=(0, 1))
    axes.spines[:].set_visible(False)


def _draw_mask(axes: Axes, mask: Tensor, patches: int, prefix: int = 0) -> None:
    """The columns of the prefix in green, of other patches in blue, of words in orange."""
    columns = torch.arange(len(mask))
    kinds = mask.int() * (1 + (columns >= prefix).int() + (columns >= patches).int())
    axes.imshow(kinds.numpy(), cmap=ListedColormap([FAINT, PREFIX, IMAGE, TEXT]), vmin=0, vmax=3)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _draw_predicted(axes: Axes, picture: Tensor, view: View, caption: str) -> None:
    if view.predicted.any():
        _draw_patches(axes, picture, view.predicted)
    words = "\n".join(textwrap.wrap(f"“{caption}”", 22)) if "no " not in view.says else ""
    colour = TEXT if words else NEUTRAL
    axes.text(1.08, 0.97, words, color=TEXT, fontsize=8.5, va="top")
    axes.text(1.08, 0.03, view.says, color=colour, fontsize=8, va="bottom")
    axes.set(xlim=(0, 2.4), ylim=(0, 1), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if not view.predicted.any():
        axes.text(0.5, 0.5, "no patch", color=NEUTRAL, fontsize=8, ha="center", va="center")


@styled
def draw_world_strip(world: WorldSource, scenes: Sequence[int]) -> Figure:
    """Scenes with a caption each, and below what a probe is asked of them: every factor in its group's colour."""
    figure = plt.figure(figsize=(WIDTH * 1.3, 4.3))
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.1, 1])[:, 0]
    for axes, scene in zip(upper.subplots(1, len(scenes), gridspec_kw={"wspace": 0.05}), scenes, strict=True):
        pair = world[scene]
        axes.imshow(pair.image)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_xlabel("\n".join(textwrap.wrap(pair.captions[0], 26)), color=TEXT, fontsize=8, loc="left")
    factors = FactorLabels(world).factors
    groups = list(dict.fromkeys(factor.group for factor in factors))
    for axes, group in zip(lower.subplots(1, len(groups)), groups, strict=True):
        names = [factor.name for factor in factors if factor.group == group]
        axes.set_axis_off()
        axes.set_title(CLASS_NAMES[group], color=CLASS_COLOURS[group], fontsize=9)
        axes.text(0, 1, "\n".join(names), va="top", fontsize=9, color=TRUE, transform=axes.transAxes, linespacing=1.3)
    figure.suptitle(f"{len(factors)} questions about every scene, in {len(groups)} groups", fontsize=11)
    return figure
