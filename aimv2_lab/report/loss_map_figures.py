"""Where in a picture the pixel loss sits, drawn: one picture patch by patch, and many by what their patches show."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from aimv2_lab.data.transforms import denormalise
from aimv2_lab.recipes import DataRecipe
from aimv2_lab.report.figures import grid_of, label_on_picture
from aimv2_lab.report.style import IMAGE, PREFIX, TRUE, WIDTH, colour_scale, styled, tint

BLANK = 1.0  # what a blank guess costs, but for 1 / K
HIGHEST = 1.5  # errors from here on have the darkest colour


@styled
def draw_loss_map(
    pictures: Tensor, all_errors: Tensor, data_recipe: DataRecipe, scene: int, prefix_length: int = 0
) -> Figure:
    """One of the normalised pictures (B, 3, height, width), and over it what each of its patches costs.

    Errors (B, I-1, I-1): row M-1 of a picture holds outputs 0 … I-2 under prefix length M. The map shows one row, or,
    for `prefix_length` 0, every output's mean over the lengths under which it counts. Raises ValueError for other
    lengths.
    """
    image, errors = pictures[scene], all_errors[scene]
    patches = errors.shape[-1] + 1
    if not 0 <= prefix_length < patches:
        raise ValueError(f"prefix length {prefix_length} lies outside 1 … {patches - 1}; 0 asks for the mean over all")
    patch_size = image.shape[-1] // round(patches**0.5)
    lengths = torch.arange(1, patches)
    counts = torch.arange(patches - 1) >= lengths[:, None] - 1
    mean = errors.masked_fill(~counts, 0.0).sum(dim=0) / counts.sum(dim=0)
    first = max(prefix_length, 1)  # the first patch whose prediction counts
    costs = errors[prefix_length - 1] if prefix_length else mean
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.3))
    for axes in (left, right):
        _show(axes, denormalise(image, data_recipe))
    columns = grid_of(image, patch_size)[1]
    for edge in range(1, columns):
        left.axvline(edge * patch_size - 0.5, color="white", linewidth=1.2)
        left.axhline(edge * patch_size - 0.5, color="white", linewidth=1.2)
    for patch in range(patches):
        if patch >= first:
            _cost(right, patch, columns, patch_size, costs[patch - 1].item())
        else:
            _frame(right, patch, columns, patch_size, PREFIX)
    left.set_title("the picture", fontsize=10, loc="center", fontweight="normal")
    shown = f"under a prefix of {prefix_length}" if prefix_length else "mean over all prefix lengths"
    right.set_title(f"error per patch, {shown};\ngreen: shown, never predicted", fontsize=10, loc="center",
                    fontweight="normal")  # fmt: skip
    counted = costs[first - 1 :]
    worst = int(counted.argmax()) + first
    figure.suptitle(
        f"{patches - first} patches count, {counted.mean():.2f} each; patch {worst} costs {counted.max():.2f}, "
        f"the cheapest {counted.min():.2f}",
        fontsize=11,
    )
    return figure


def _show(axes: Axes, picture: Tensor) -> None:
    axes.imshow(rearrange(picture.float(), "c h w -> h w c").clamp(0, 1).numpy())
    axes.set_axis_off()


def _frame(axes: Axes, patch: int, columns: int, size: int, colour: object) -> None:
    row, column = divmod(patch, columns)
    place = (column * size - 0.5 + 0.3, row * size - 0.5 + 0.3)
    axes.add_patch(Rectangle(place, size - 0.6, size - 0.6, fill=False, edgecolor=colour, linewidth=1.6))


def _cost(axes: Axes, patch: int, columns: int, size: int, cost: float) -> None:
    """A patch covered by the colour of its cost, so that the picture still shows, and the number."""
    row, column = divmod(patch, columns)
    corner = (column * size - 0.5, row * size - 0.5)
    colour = colour_scale(IMAGE)(min(cost / HIGHEST, 1.0))
    axes.add_patch(Rectangle(corner, size, size, facecolor=colour, alpha=0.82, edgecolor="white", linewidth=1.0))
    label_on_picture(axes, (corner[0] + size / 2, corner[1] + size / 2), f"{cost:.2f}")


def by_kind(errors: Tensor, kinds: Tensor, number: int) -> list[tuple[float, float]]:
    """For each of `number` kinds: its share of the patches, and its mean error; both tensors (B, I-1)."""
    chosen = [kinds == kind for kind in range(number)]
    return [(of_kind.float().mean().item(), errors[of_kind].mean().item()) for of_kind in chosen]


@styled
def draw_patch_kinds(errors: Tensor, kinds: Tensor, names: Sequence[str]) -> Figure:
    """Mean error by what a patch shows, errors and kinds (B, I-1); a bar's width is its share of the patches.

    A bar's area is then its part of the loss, which is written into it. The title speaks of the last and the first.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.6))
    parts = by_kind(errors, kinds, len(names))
    left = 0.0
    for (share, error), name, strength in zip(parts, names, (0.25, 0.55, 1.0), strict=True):
        axes.bar(left, error, width=share, align="edge", color=tint(IMAGE, strength), edgecolor="white", linewidth=2)
        loss = share * error / errors.mean().item()
        text = f"{name}: {error:.2f}\n{share:.0%} of patches, {loss:.0%} of the loss"
        height = error if error < BLANK - 0.2 else max(error, BLANK)  # clear of the line of the blank guess
        axes.text(left + 0.005, height + 0.02, text, fontsize=9.5, va="bottom", color=TRUE)
        left += share
    axes.axhline(BLANK, color=TRUE, linewidth=1, linestyle=":")
    axes.text(0.005, BLANK + 0.02, "a blank guess", fontsize=9.5)
    axes.set(xlim=(0, 1.16), ylim=(0, 1.3), xlabel="share of patches", ylabel="error, mean over its patches")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.set_title(f"Where {names[-1]}, a patch costs {parts[-1][1]:.2f}; where it is {names[0]}, {parts[0][1]:.2f}")
    return figure
