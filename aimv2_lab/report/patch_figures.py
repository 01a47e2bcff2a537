"""The pixel target, drawn: what a patch becomes, where the loss sits, which output predicts which patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.data.transforms import denormalise
from aimv2_lab.model.patches import patchify, standardise, unpatchify
from aimv2_lab.recipes import DataRecipe
from aimv2_lab.report.figures import grid_of
from aimv2_lab.report.style import IMAGE, NEUTRAL, TRUE, WIDTH, colour_scale, styled, tint

TARGET_SPAN = 2.5  # standardised values are drawn from minus to plus this many deviations


@styled
def draw_pictures(pictures: Mapping[str, Tensor], title: str) -> Figure:
    """Pictures (3, height, width) in 0 … 1 in a row, each under its name."""
    figure, panels = plt.subplots(1, len(pictures), figsize=(WIDTH, WIDTH / len(pictures) + 0.75), squeeze=False)
    for axes, (name, picture) in zip(panels[0], pictures.items(), strict=True):
        _show_pixels(axes, picture)
        axes.set_title(name, fontsize=9.5, loc="center", fontweight="normal")
    figure.suptitle(title, fontsize=11)
    return figure


def share_that_holds(errors: Tensor, part: float = 0.5) -> float:
    """The smallest share of the patches that holds `part` of the summed errors, 0 … 1."""
    return ((_held(errors) < part).sum().item() + 1) / errors.numel()


def _held(errors: Tensor) -> Tensor:
    """The share of the summed errors (N,) that the loudest 1, 2, … N patches hold."""
    return errors.flatten().double().sort(descending=True).values.cumsum(dim=0) / errors.double().sum()


@styled
def draw_loss_shares(plain: Mapping[str, Tensor], standardised: Tensor) -> Figure:
    """How much of the loss the loudest patches hold, for errors of any shape; the dots mark half of the loss.

    The title compares the first of the plain losses with the standardised one.
    """
    figure, axes = plt.subplots(figsize=(WIDTH * 0.75, 3.9))
    for (name, errors), line in zip(plain.items(), ("-", "--", ":"), strict=False):
        _draw_share(axes, errors, name, TRUE, line)
    _draw_share(axes, standardised, "standardised", IMAGE, "-")
    axes.set(
        xlim=(0, 1), ylim=(0, 1.02), xlabel="share of patches, loudest first", ylabel="share of the loss they hold"
    )
    loud, even = share_that_holds(next(iter(plain.values()))), share_that_holds(standardised)
    axes.set_title(f"Half of the loss sits in {loud:.0%} of the patches; standardised, in {even:.0%}")
    axes.grid(color=NEUTRAL, alpha=0.4, linewidth=0.6)
    axes.legend(loc="lower right")
    return figure


def _draw_share(axes: Axes, errors: Tensor, name: str, colour: str, line: str) -> None:
    """One curve, and a dot where it reaches half."""
    patches = np.arange(1, errors.numel() + 1) / errors.numel()
    axes.plot(patches, _held(errors).numpy(), color=colour, linestyle=line, label=name)
    half = share_that_holds(errors)
    axes.plot([half], [0.5], "o", color=colour)
    axes.annotate(f"{half:.0%}", (half, 0.5), (7, -13), textcoords="offset points", color=colour)


@styled
def draw_specimens(specimens: Mapping[str, Tensor], data_recipe: DataRecipe) -> Figure:
    """Single patches (3, p, p), normalised: what they look like, and the target that each becomes."""
    patch_size = next(iter(specimens.values())).shape[-1]
    pictures = torch.stack(list(specimens.values()))
    values, _, deviations = standardise(patchify(pictures, patch_size))
    targets = unpatchify(values, (1, 1), patch_size)
    figure, panels = plt.subplots(2, len(specimens), figsize=(WIDTH, 3.6))
    for column, name in enumerate(specimens):
        _show_pixels(panels[0, column], denormalise(pictures[column], data_recipe))
        _show_pixels(panels[1, column], for_viewing(targets[column]))
        panels[0, column].set_title(name, fontsize=9.5, loc="center", fontweight="normal")
        deviation = deviations[column].item()
        panels[1, column].set_title(f"deviation {deviation:.3f}", fontsize=9.5, loc="center", fontweight="normal")
    for row, name in enumerate(("patch", "its target")):
        panels[row, 0].text(-0.12, 0.5, name, transform=panels[row, 0].transAxes, rotation=90, ha="right", va="center")
    figure.suptitle(
        "Dividing by the deviation makes a faint edge equal a strong one, and faint noise loud", fontsize=11
    )
    return figure


@styled
def draw_shift(image: Tensor, patch_size: int, data_recipe: DataRecipe, slots: Sequence[int]) -> Figure:
    """Some slots of the sequence of a normalised picture (3, height, width): the patch that goes in, and what must
    come out: the standardised next patch. The last slot of a picture has no target."""
    patches = patchify(image[None], patch_size)
    inputs = denormalise(_tiles(patches, patch_size), data_recipe)
    targets = for_viewing(_tiles(standardise(patches).values, patch_size))
    leaps = [column for column in range(1, len(slots)) if slots[column] != slots[column - 1] + 1]
    columns = [column + sum(leap <= column for leap in leaps) for column in range(len(slots))]  # a gap at every leap
    widths = [1.0 if column in columns else 0.15 for column in range(columns[-1] + 1)]
    figure, panels = plt.subplots(2, len(widths), figsize=(WIDTH * 1.15, 2.7), width_ratios=widths)
    for axes in panels.flat:
        axes.set_axis_off()
    for column, slot in zip(columns, slots, strict=True):
        _draw_slot(panels[0, column], panels[1, column], slot, inputs, targets)
    for row, name in enumerate(("goes in", "must\ncome out")):
        panels[row, 0].text(-0.2, 0.5, name, transform=panels[row, 0].transAxes, ha="right", va="center", fontsize=9.5)
    figure.suptitle(f"Output i predicts patch i + 1; output {len(inputs) - 1}, the last, predicts nothing", fontsize=11)
    return figure


def _tiles(patches: Tensor, patch_size: int) -> Tensor:
    """Patches of one picture (1, I, K) as small pictures (I, 3, p, p)."""
    return rearrange(patches[0], "i (p q c) -> i c p q", p=patch_size, q=patch_size)


def _draw_slot(above: Axes, below: Axes, slot: int, inputs: Tensor, targets: Tensor) -> None:
    """One input patch, an arrow, and the target of its output, if there is one."""
    last = slot + 1 == len(inputs)
    for axes, tile, name in (
        (above, inputs[slot], f"patch {slot}"),
        (below, torch.ones_like(inputs[0]) if last else targets[slot + 1], "nothing" if last else f"patch {slot + 1}"),
    ):
        axes.set_axis_on()
        _show_pixels(axes, tile)
        axes.set_title(name, fontsize=8.5, loc="center", fontweight="normal", pad=3)
    arrow = {"arrowstyle": "-|>", "color": tint(TRUE, 0.75), "linewidth": 1.2}
    above.annotate("", (0.5, -0.5), (0.5, -0.04), "axes fraction", "axes fraction", arrowprops=arrow)


@styled
def draw_pixel_target(image: Tensor, data_recipe: DataRecipe, patch_size: int) -> Figure:
    """A normalised picture (3, height, width) under its grid, its pixel target, and what the target leaves out.

    Raises ValueError when a side is not a multiple of the patch size.
    """
    grid = rows, columns = grid_of(image, patch_size)
    target = standardise(patchify(image[None], patch_size))
    patches, values = target.values.shape[1:]
    figure, panels = plt.subplots(1, 3, figsize=(WIDTH * 1.1, 3.5))
    _show_pixels(panels[0], denormalise(image, data_recipe))
    for colour, width in ((TRUE, 2.4), ("white", 1.2)):  # to be seen on any ground
        panels[0].hlines(np.arange(1, rows) * patch_size - 0.5, -0.5, image.shape[2] - 0.5, colour, linewidth=width)
        panels[0].vlines(np.arange(1, columns) * patch_size - 0.5, -0.5, image.shape[1] - 0.5, colour, linewidth=width)
    _show_pixels(panels[1], for_viewing(unpatchify(target.values, grid, patch_size)[0]))
    shown = panels[2].imshow(target.deviation.reshape(grid).numpy(), cmap=colour_scale(IMAGE), vmin=0, vmax=1.5)
    panels[2].set_axis_off()
    bar = figure.colorbar(shown, ax=panels[2], orientation="horizontal", shrink=0.8, ticks=[0, 0.5, 1, 1.5])
    bar.outline.set_visible(False)
    names = (f"{rows} × {columns} = {patches} patches", f"target: {values} values each", "deviation divided out")
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(name, fontsize=10, loc="center", fontweight="normal")
    pixels = f"{patch_size} × {patch_size}"
    figure.suptitle(f"Patches of {pixels} pixels: predicting zeros costs {(values - 1) / values:.4f}", fontsize=11)
    return figure


def for_viewing(standardised: Tensor) -> Tensor:
    """Standardised values as a picture in 0 … 1: grey is 0, black and white are ±2.5 deviations and beyond."""
    return (standardised / (2 * TARGET_SPAN) + 0.5).clamp(0, 1)


def _show_pixels(axes: Axes, picture: Tensor) -> None:
    """A picture (3, height, width) in 0 … 1 in a thin frame."""
    axes.imshow(rearrange(picture.detach().float(), "c h w -> h w c").clamp(0, 1).numpy())
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=NEUTRAL, linewidth=0.8)
