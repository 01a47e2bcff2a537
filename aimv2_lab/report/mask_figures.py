"""Who may look at whom, drawn: as a matrix, as a flow of information, and as measured by gradients."""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Patch, Rectangle
from torch import Tensor

from aimv2_lab.model.masks import check_prefix_lengths, prefix_mask
from aimv2_lab.report.figures import NUMBERED_PATCHES
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TRUE, WIDTH, WRONG, colour_scale, styled

FLOW_PATCHES = 20  # with more patches than this, arcs merge


@styled
def draw_mask(prefix_length: int, patches: int) -> Figure:
    """The prefix mask as a matrix, with the outputs that count. ValueError for a prefix outside 1 … patches-1."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.68, WIDTH * 0.62))
    _draw_mask(axes, prefix_length, patches)
    return figure


@styled
def draw_mask_and_flow(prefix_length: int, patches: int) -> Figure:
    """The mask as a matrix beside the same mask as a flow of information."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 1.15, WIDTH * 0.52), width_ratios=(1, 1.2))
    _draw_mask(left, prefix_length, patches)
    _draw_flow(right, prefix_length, patches)
    return figure


def look_ahead(prefix_length: int, patches: int) -> int:
    """How many (query, key) pairs look ahead, j > i: M (M-1) / 2, counted on the mask itself."""
    return int(_mask(prefix_length, patches).triu(diagonal=1).sum())


def _mask(prefix_length: int, patches: int) -> Tensor:
    """The mask (I, I) of one image."""
    lengths = torch.tensor([prefix_length])
    check_prefix_lengths(lengths, 1, patches)
    return prefix_mask(lengths, patches)[0, 0]


def _draw_mask(axes: Axes, prefix_length: int, patches: int) -> None:
    mask = _mask(prefix_length, patches)
    # 0 hidden, 1 seen because earlier or itself, 2 seen only because it lies in the prefix
    kinds = mask.int() + mask.triu(diagonal=1).int()
    axes.imshow(kinds.numpy(), cmap=ListedColormap([FAINT, IMAGE, PREFIX]), vmin=0, vmax=2)
    axes.set_xticks(torch.arange(patches + 1).numpy() - 0.5, minor=True)
    axes.set_yticks(torch.arange(patches + 1).numpy() - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2 if patches <= 24 else 0.3)
    axes.tick_params(which="both", length=0)
    step = max(patches // 9, 1)
    axes.set(xticks=range(0, patches, step), yticks=range(0, patches, step))
    axes.set(xlabel="key j: the patch that is seen", ylabel="query i: the patch that looks")
    axes.spines[:].set_visible(False)
    for key, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        label.set(color=PREFIX if key < prefix_length else TRUE, fontweight="bold" if key < prefix_length else "normal")
    _mark_counted(axes, prefix_length, patches)
    ahead = look_ahead(prefix_length, patches)
    found = "1 pair looks ahead" if ahead == 1 else f"{ahead} pairs look ahead"
    axes.set_title(f"M = {prefix_length}: {found if ahead else 'plain causal attention'}")
    names = {IMAGE: "j ≤ i", PREFIX: "j > i, but j < M", FAINT: "hidden"}
    handles = [Patch(facecolor=colour, label=name) for colour, name in names.items()]
    axes.legend(
        handles=handles, ncols=3, handlelength=1.0, columnspacing=1.2, loc="upper center", bbox_to_anchor=(0.5, -0.14)
    )


def _mark_counted(axes: Axes, prefix_length: int, patches: int) -> None:
    """A bar at the right of the outputs M-1 … I-2, whose predictions count."""
    first, last = prefix_length - 1, patches - 2
    x = patches - 0.5 + patches * 0.03
    axes.plot([x, x], [first - 0.4, last + 0.4], color=TRUE, linewidth=4, solid_capstyle="butt", clip_on=False)
    middle = (first + last) / 2
    axes.text(x + patches * 0.03, middle, "outputs that count", rotation=270, va="center", fontsize=9, clip_on=False)


def _draw_flow(axes: Axes, prefix_length: int, patches: int) -> None:
    if patches > FLOW_PATCHES:
        raise ValueError(
            f"{patches} patches are too many arcs to tell apart; draw at most {FLOW_PATCHES}, or draw_mask"
        )
    mask = _mask(prefix_length, patches)
    width = 1.6 if patches <= 12 else 0.8
    for query, key in mask.nonzero().tolist():
        span, ahead = abs(query - key), key > query
        if span:
            angles = {"theta1": 180, "theta2": 360} if ahead else {"theta1": 0, "theta2": 180}
            place = ((query + key) / 2, -0.42 if ahead else 0.42)
            colour = PREFIX if ahead else IMAGE
            axes.add_patch(Arc(place, span, span * 0.9, color=colour, linewidth=width, alpha=0.75, **angles))
    for patch in range(patches):
        colour = PREFIX if patch < prefix_length else IMAGE
        axes.add_patch(Rectangle((patch - 0.4, -0.4), 0.8, 0.8, facecolor=colour, edgecolor="white", zorder=3))
        axes.text(patch, 0, str(patch), color="white", ha="center", va="center", fontsize=9, zorder=4)
    _label_flow(axes, prefix_length, patches)


def _label_flow(axes: Axes, prefix_length: int, patches: int) -> None:
    """Limits that do not move with the prefix, and what is above and below the row of patches."""
    reach = (patches - 1) * 0.45 + 0.5
    axes.set(xlim=(-0.7, patches - 0.3), ylim=(-reach * 1.2, reach * 1.2))
    axes.set_axis_off()
    above = "above, left to right: every patch sees the earlier ones"
    below = "below, right to left: prefix patches see later ones, too"
    axes.text(-0.5, reach * 1.19, above, color=IMAGE, va="top")
    axes.text(
        -0.5, -reach * 1.19, below if prefix_length > 1 else "below: nobody looks ahead", color=PREFIX, va="bottom"
    )
    together = f"patches 0 … {prefix_length - 1} see each other" if prefix_length > 1 else "every patch looks back only"
    axes.set_title(f"M = {prefix_length}: {together}")


@styled
def draw_receptive_field(
    gradient: Tensor, grid: tuple[int, int] | None = None, output: int | None = None, allowed: Tensor | None = None
) -> Figure:
    """Which inputs reach which outputs, from absolute gradients: how strongly, and whether at all.

    A vector (I,) is one output's field, drawn over the `grid` (rows, columns) of patches or as one row; `output` marks
    the patch whose output it is. A matrix (outputs, inputs) is every output's, as `leak_matrix` returns it. `allowed`
    (bool, same shape) outlines every input that reaches an output though it must not. Raises ValueError for other
    shapes.
    """
    if gradient.ndim > 2 or (gradient.ndim == 1 and grid is not None and grid[0] * grid[1] != len(gradient)):
        raise ValueError(f"a gradient of shape {tuple(gradient.shape)} fits no matrix and no grid {grid}")
    one = gradient.ndim == 1
    shape = (grid or (1, len(gradient))) if one else tuple(gradient.shape)
    strength = gradient.detach().double().reshape(shape)
    leaks = (
        torch.zeros_like(strength, dtype=torch.bool) if allowed is None else (strength > 0) & ~allowed.reshape(shape)
    )
    height = min(max(0.46 * WIDTH * shape[0] / shape[1], 0.45), 0.42 * WIDTH) + (0.7 if one else 1.15)
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, height))
    panels[0].imshow(strength.numpy(), cmap=colour_scale(IMAGE), vmin=0, vmax=strength.max().item() or 1.0)
    reached = (strength > 0).int() + leaks.int()  # 0 hidden, 1 seen, 2 seen though it must not be
    panels[1].imshow(reached.numpy(), cmap=ListedColormap([FAINT, IMAGE, WRONG]), vmin=0, vmax=2)
    for panel, name in zip(panels, ("how strongly (absolute gradient)", "whether at all"), strict=True):
        panel.set_title(name, fontweight="normal", loc="center", fontsize=10)
        _frame_field(panel, shape, one, output)
    if one:
        _number_patches(panels[1], reached)
    figure.suptitle(_field_title(strength, leaks, one, output, allowed is not None), fontsize=11)
    return figure


def _number_patches(panel: Axes, reached: Tensor) -> None:
    """The number of every patch, where there is room for it."""
    if reached.numel() > NUMBERED_PATCHES:
        return
    for patch, seen in enumerate(reached.flatten().tolist()):
        row, column = divmod(patch, reached.shape[1])
        panel.text(column, row, str(patch), ha="center", va="center", fontsize=9, color="white" if seen else TRUE)


def _frame_field(panel: Axes, shape: tuple[int, ...], one: bool, output: int | None) -> None:
    """Ticks, grid lines, and a frame around the patch whose output is shown."""
    panel.set_xticks(torch.arange(shape[1] + 1).numpy() - 0.5, minor=True)
    panel.set_yticks(torch.arange(shape[0] + 1).numpy() - 0.5, minor=True)
    panel.grid(which="minor", color=NEUTRAL, linewidth=0.5 if max(shape) <= 24 else 0.2)
    panel.tick_params(which="minor", length=0)
    panel.spines[:].set_visible(False)
    if not one:
        panel.set(xlabel="input patch", ylabel="output")
        panel.set(xticks=range(0, shape[1], max(shape[1] // 9, 1)), yticks=range(0, shape[0], max(shape[0] // 9, 1)))
        return
    panel.set(xticks=[], yticks=[])
    if output is not None:
        row, column = divmod(output, shape[1])
        panel.add_patch(Rectangle((column - 0.4, row - 0.4), 0.8, 0.8, fill=False, edgecolor=TRUE, linewidth=2))


def _field_title(strength: Tensor, leaks: Tensor, one: bool, output: int | None, judged: bool) -> str:
    """What was found, in a sentence."""
    reached, total = int((strength > 0).sum()), strength.numel()
    whose = f"Output {output}" if output is not None else "This output"
    found = f"{whose} sees {reached} of {total} patches" if one else f"{reached} of {total} pairs are connected"
    if not judged:
        return found
    return found + (f"; {int(leaks.sum())} of them must not be" if leaks.any() else ", as allowed")
