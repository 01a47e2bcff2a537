"""Patches, pixel targets, loss curves and comparisons, drawn; each function is pure and returns its figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.model.patches import check_image_size, patchify
from aimv2_lab.report.style import IMAGE, NEUTRAL, TEXT, TRUE, WIDTH, WRONG, colour_scale, difference_scale, styled

NUMBERED_PATCHES = 64  # more numbers than this cannot be read
PATCHES_PER_LINE = 20
WRITTEN_ENTRIES = 100  # larger matrices are drawn without their numbers


@styled
def draw_patches(image: Tensor, patch_size: int) -> Figure:
    """A picture (3, height, width) in 0 … 1, the grid that cuts it, and its patches as a sequence in raster order."""
    patches, (rows, columns) = patchify(image[None], patch_size)[0], grid_of(image, patch_size)
    lines = math.ceil(len(patches) / PATCHES_PER_LINE)
    per_line = math.ceil(len(patches) / lines)
    sequence_height = 0.4 + 0.95 * lines * WIDTH / max(per_line, 10)
    figure = plt.figure(figsize=(WIDTH, 3.4 + sequence_height))
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(3.4, sequence_height))[:, 0]
    whole, cut = upper.subplots(1, 2)
    _show_image(whole, image, f"Picture: {image.shape[1]} × {image.shape[2]} pixels")
    _show_image(cut, image, f"Grid: {rows} × {columns} patches of {patch_size} × {patch_size}")
    _draw_grid(cut, rows, columns, patch_size)
    _draw_sequence(lower, patches, patch_size, lines, per_line)
    return figure


def _draw_grid(axes: Axes, rows: int, columns: int, patch_size: int) -> None:
    """White lines between patches, and the number of every patch where there is room."""
    for position in range(1, rows):
        axes.axhline(position * patch_size - 0.5, color="white", linewidth=1.5)
    for position in range(1, columns):
        axes.axvline(position * patch_size - 0.5, color="white", linewidth=1.5)
    if rows * columns > NUMBERED_PATCHES:
        return
    for patch in range(rows * columns):
        row, column = divmod(patch, columns)
        centre = ((column + 0.5) * patch_size - 0.5, (row + 0.5) * patch_size - 0.5)
        label_on_picture(axes, centre, str(patch))


def _draw_sequence(figure: Any, patches: Tensor, patch_size: int, lines: int, per_line: int) -> None:
    """The patches one after the other, wrapped into lines, with gaps between them."""
    axes = figure.subplots()
    gap = max(patch_size // 6, 1)
    tiles = rearrange(patches.float(), "i (p q c) -> i c p q", p=patch_size, q=patch_size)
    tiles = torch.nn.functional.pad(tiles, (0, gap, 0, gap), value=1.0)
    blank = tiles.new_ones(lines * per_line - len(tiles), *tiles.shape[1:])
    canvas = rearrange(torch.cat([tiles, blank]), "(lines i) c p q -> (lines p) (i q) c", lines=lines)
    axes.imshow(canvas.clamp(0, 1).numpy(), aspect="equal")
    axes.set_axis_off()
    values = patches.shape[1]
    axes.set_title(f"Sequence: {len(patches)} patches in raster order, {values} values each")
    if len(patches) > NUMBERED_PATCHES:
        return
    for patch in range(len(patches)):
        row, column = divmod(patch, per_line)
        place = (column * (patch_size + gap) + patch_size / 2 - 0.5, row * (patch_size + gap) + patch_size / 2 - 0.5)
        label_on_picture(axes, place, str(patch))


@styled
def draw_loss_curves(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Pixel and caption loss over steps, from the records of a run's metrics.jsonl.

    A record holds `kind` ("train" or "validation"), `step`, `pixel` and `text`. Raises ValueError without any.
    """
    if not metrics:
        raise ValueError("no metrics to draw: the list is empty; read them with training.run.read_metrics(folder)")
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 3.2))
    draw_curve(panels[0], metrics, "pixel", "Pixel loss", "mean squared error", IMAGE)
    draw_curve(panels[1], metrics, "text", "Caption loss", "nats per token", TEXT)
    return figure


def draw_curve(axes: Axes, metrics: Sequence[Mapping[str, Any]], key: str, name: str, unit: str, colour: str) -> None:
    """One loss: a line for training, dots for validation; the title says from where to where it went."""
    shown: list[float] = []
    for kind, line in (("train", {"alpha": 0.45}), ("validation", {"marker": "o", "markersize": 5})):
        rows = [row for row in metrics if row["kind"] == kind]
        if rows:
            shown = [row[key] for row in rows]
            axes.plot([row["step"] for row in rows], shown, color=colour, label=kind, **line)
    axes.set_title(f"{name}: {shown[0]:.2f} → {shown[-1]:.2f}" + (" (held out)" if rows else ""))
    axes.set(xlabel="step", ylabel=unit)
    axes.grid(axis="y", color=NEUTRAL, alpha=0.4, linewidth=0.6)
    axes.legend()


@styled
def draw_comparison(target: Tensor, yours: Tensor, title: str) -> Figure:
    """Target and yours, (rows, columns) or vectors, on one colour scale, and where they differ.

    Numbers are written into small matrices. Raises ValueError for shapes that differ.
    """
    if target.shape != yours.shape:
        raise ValueError(f"target {tuple(target.shape)} and yours {tuple(yours.shape)} differ in shape")
    matrices = [matrix.detach().double().cpu().reshape(-1, target.shape[-1]) for matrix in (target, yours)]
    difference = matrices[1] - matrices[0]
    finite = torch.cat(matrices)[torch.cat(matrices).isfinite()]
    low, high = (finite.min().item(), finite.max().item()) if len(finite) else (0.0, 1.0)
    span = difference[difference.isfinite()].abs().max().item() if difference.isfinite().any() else 1.0
    rows, columns = difference.shape
    figure, panels = plt.subplots(1, 3, figsize=(WIDTH, min(max(8 / 3 * rows / columns, 0.45), 4.0) + 0.6))
    for panel, matrix, name in zip(panels, matrices, ("target", "yours"), strict=False):
        _draw_matrix(panel, matrix, name, colour_scale(IMAGE), low, high if high > low else low + 1)
    _draw_matrix(panels[2], difference, "yours − target", difference_scale(), -(span or 1), span or 1)
    count = int((~torch.isclose(matrices[0], matrices[1], rtol=1e-5, atol=1e-5, equal_nan=True)).sum())
    noun = "entry differs" if difference.numel() == 1 else "entries differ"
    figure.suptitle(f"{title}: {count} of {difference.numel()} {noun}", fontsize=11, color=WRONG if count else TRUE)
    return figure


def _draw_matrix(axes: Axes, matrix: Tensor, name: str, scale: Any, low: float, high: float) -> None:
    """One matrix; small ones carry their numbers, NaN stays grey."""
    axes.set_facecolor(NEUTRAL)
    axes.imshow(matrix.numpy(), cmap=scale, vmin=low, vmax=high, aspect="equal")
    axes.set_title(name, fontweight="normal", loc="center")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=NEUTRAL)
    rows, columns = matrix.shape
    if rows * columns > WRITTEN_ENTRIES or columns > 8:
        return
    for row in range(rows):
        for column in range(columns):
            value = matrix[row, column].item()
            dark = not math.isnan(value) and (abs(value) if low < 0 < high else value - low) > 0.6 * (
                high - max(low, 0)
            )
            axes.text(
                column, row, f"{value:.3g}", ha="center", va="center", fontsize=9, color="white" if dark else TRUE
            )


def grid_of(image: Tensor, patch_size: int) -> tuple[int, int]:
    """(rows, columns) of patches of a picture (3, height, width); ValueError when they do not fit."""
    height, width = image.shape[-2:]
    check_image_size(height, width, patch_size)
    return height // patch_size, width // patch_size


def label_on_picture(axes: Axes, place: tuple[float, float], text: str) -> None:
    """A small label that can be read on any picture."""
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    axes.text(*place, text, ha="center", va="center", fontsize=9, color=TRUE, bbox=box)


def _show_image(axes: Axes, image: Tensor, title: str) -> None:
    """A picture (3, height, width) in 0 … 1 without axes."""
    axes.imshow(rearrange(image.detach().float(), "c h w -> h w c").clamp(0, 1).numpy())
    axes.set_axis_off()
    axes.set_title(title, fontsize=10, loc="center", fontweight="normal")
