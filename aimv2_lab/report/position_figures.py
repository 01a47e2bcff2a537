"""Positions as pictures: what is like what in a learned table, resized or not, and in the sine-cosine code."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, colour_scale, styled

Grids = tuple[Tensor, Tensor]  # the positions (rows, columns, D) of a small and of a large grid
COLOURS = (IMAGE, TEXT)  # small, large


def similarity(grid: Tensor, row: int, column: int) -> Tensor:
    """Cosine similarity (rows, columns) of one position of a grid (rows, columns, D) to all."""
    return functional.cosine_similarity(grid, grid[row, column], dim=-1)


def by_distance(grid: Tensor) -> Tensor:
    """Mean cosine similarity (columns,) of two positions of one row, by how many columns they are apart."""
    unit = functional.normalize(grid, dim=-1)
    across = torch.einsum("rcd,rkd->rck", unit, unit).mean(dim=0)
    return torch.stack([across.diagonal(offset).mean() for offset in range(grid.shape[1])])


def spectrum(grid: Tensor) -> tuple[Tensor, Tensor]:
    """Frequencies along a row, in cycles a patch, and the share of a grid's power at each; its means over rows left
    out. Rows are mirrored at their end, so that they close without a leap, which would be at all frequencies."""
    closed = torch.cat([grid, grid.flip(1)], dim=1)
    power = torch.fft.rfft(closed - closed.mean(dim=1, keepdim=True), dim=1).abs().square().sum(dim=(0, 2))
    return torch.fft.rfftfreq(closed.shape[1]), power / power.sum()


def share_above(grid: Tensor, frequency: float) -> float:
    """The share of a grid's power above a frequency in cycles a patch."""
    frequencies, power = spectrum(grid)
    return power[frequencies > frequency + 1e-6].sum().item()


@styled
def draw_similarities(table: Grids, code: Grids) -> Figure:
    """Similarity of the position a quarter from the top and a third from the left to all others, in a learned table
    before and after it is resized, and in the sine-cosine code of both grids."""
    figure, panels = plt.subplots(1, 4, figsize=(WIDTH * 1.25, 2.9))
    names = ("learned, as trained", "learned, resized", "sine-cosine", "sine-cosine")
    scale, grids = colour_scale(PREFIX), (*table, *code)
    for axes, name, grid in zip(panels, names, grids, strict=True):
        rows, columns = grid.shape[:2]
        row, column = rows // 4, columns // 3
        family = table if name.startswith("learned") else code
        lowest = min(similarity(one, one.shape[0] // 4, one.shape[1] // 3).min().item() for one in family)
        shown = axes.imshow(similarity(grid, row, column).numpy(), cmap=scale, vmin=lowest, vmax=1)
        axes.plot(column, row, "o", color=TRUE, markersize=4)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name}\n{rows} x {columns}", fontsize=9, fontweight="normal", loc="center")
        figure.colorbar(shown, ax=axes, shrink=0.55, ticks=[lowest, 1], format="%.2f")
    near = [by_distance(grid)[1].item() for grid in grids]
    figure.suptitle(
        f"Neighbours' similarity: {near[0]:.2f} → {near[1]:.2f} where the table is resized; "
        f"{near[2]:.2f} and {near[3]:.2f} in the code",
        fontsize=11,
    )
    return figure


@styled
def draw_stretching(table: Grids, code: Grids) -> Figure:
    """Similarity by distance, in patches and in pictures, of table and code at both grids; and the table's spectrum
    before and after."""
    figure, (patches, pictures, powers) = plt.subplots(1, 3, figsize=(WIDTH * 1.25, 3.1))
    for name, grids, line in (("table", table, "-"), ("code", code, "--")):
        for grid, colour in zip(grids, COLOURS, strict=True):
            found = by_distance(grid).numpy()[: -(grid.shape[1] // 4)]  # of the longest distances there are few
            label = f"{name}, {grid.shape[1]} columns"
            patches.plot(range(len(found)), found, line, color=colour, label=label)
            pictures.plot(np.arange(len(found)) / grid.shape[1], found, line, color=colour)
    patches.set(xlabel="apart, in patches", ylabel="cosine similarity")
    pictures.set(xlabel="apart, in widths of the picture")
    patches.legend(fontsize=7.5)
    _draw_spectra(powers, table)
    empty = [share_above(grid, 0.25) for grid in table]
    figure.suptitle(
        f"A table is stretched, a code goes on: power above a quarter cycle a patch {empty[0]:.0%} → {empty[1]:.0%}",
        fontsize=11,
    )
    return figure


def _draw_spectra(axes: Axes, grids: Grids) -> None:
    axes.axvspan(0.25, 0.5, color=FAINT)
    for grid, colour in zip(grids, COLOURS, strict=True):
        frequencies, power = spectrum(grid)
        axes.plot(frequencies.numpy()[1:], power.numpy()[1:], "o-", color=colour, markersize=4)
    axes.set(xlabel="cycles a patch, along a row", ylabel="share of the table's power", ylim=(0, None))


def gap(grids: Grids, by: str) -> float:
    """How far apart two grids' similarities by distance lie at most, where the distance is in "patches" or in
    "pictures"."""
    small, large = (by_distance(grid)[: -(grid.shape[1] // 4)] for grid in grids)
    places = len(small)
    step = large[:places] if by == "patches" else large[:: grids[1].shape[1] // grids[0].shape[1]][:places]
    return (small - step).abs().max().item()


@styled
def draw_swapped(picture: Tensor, wrong: Tensor, changes: Mapping[float, float]) -> Figure:
    """A long picture (3, height, width) in 0 … 1, what its strip says when rows are taken for columns, and how much the
    features of pictures change by it, by their ratio of the longer side to the shorter."""
    figure, (right, swapped, changed) = plt.subplots(1, 3, figsize=(WIDTH * 1.1, 2.9), width_ratios=(1.2, 0.7, 1.6))
    for axes, shown, name in ((right, picture, "the picture"), (swapped, wrong, "as its positions have it")):
        axes.imshow(shown.permute(1, 2, 0).clamp(0, 1).numpy())
        axes.set_axis_off()
        axes.set_title(name, fontsize=9, fontweight="normal", loc="center")
    changed.axhline(0, color=NEUTRAL, linewidth=0.8)
    changed.plot(list(changes), [100 * change for change in changes.values()], "o", color=TEXT, markersize=5)
    changed.set(xlabel="longer side over shorter, in patches", ylabel="features change by, %", ylim=(-5, None))
    square = [change for ratio, change in changes.items() if ratio == 1]
    long = [change for ratio, change in changes.items() if ratio > 1]
    worst = f"{max(square):.0%}" if square else "not tried"
    figure.suptitle(f"Square pictures: {worst} changed. All others: {min(long):.0%} to {max(long):.0%}")
    return figure
