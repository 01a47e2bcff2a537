"""Native resolution drawn: views of long pictures, how areas are drawn, batches of strips, and one area's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.data.captions.lexicon import NUMBER_WORDS
from aimv2_lab.data.native.batch import NativeBatch
from aimv2_lab.data.transforms import channels_first, resized
from aimv2_lab.grids import fitted_grid
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, styled

GREY = 0.93  # of padding


@styled
def draw_views(views: Mapping[str, Sequence[Tensor]], patch_size: int) -> Figure:
    """The same scenes (3, height, width) uint8 in several views, a row each, cut into patches; the title says how many
    patches each view has."""
    count = len(next(iter(views.values())))
    figure, panels = plt.subplots(len(views), count, figsize=(WIDTH * 1.15, 1.35 * len(views) + 0.4), squeeze=False)
    for row, (name, pictures) in zip(panels, views.items(), strict=True):
        for axes, picture in zip(row, pictures, strict=True):
            show_patches(axes, picture, patch_size)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    patches = {
        name: [picture.shape[1] * picture.shape[2] // patch_size**2 for picture in pictures]
        for name, pictures in views.items()
    }
    said = ", ".join(f"{name} {_range(found)}" for name, found in patches.items())
    scenes, of_each = _counted(count, "scene").capitalize(), "it" if count == 1 else "each"
    figure.suptitle(f"{scenes}, {_counted(len(views), 'view')} of {of_each}; patches: {said}")
    return figure


def _counted(number: int, noun: str) -> str:
    """One scene, six scenes, 12 scenes."""
    spelled = dict(enumerate(NUMBER_WORDS, 1)).get(number, f"{number:,}")
    return f"{spelled} {noun}{'' if number == 1 else 's'}"


def _range(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"


def show_patches(axes: Axes, picture: Tensor, patch_size: int) -> None:
    """A picture (3, height, width) uint8 with its patches outlined, without ticks."""
    height, width = picture.shape[1:]
    axes.imshow(picture.permute(1, 2, 0).numpy())
    for line in range(0, width + 1, patch_size):
        axes.plot([line - 0.5] * 2, [-0.5, height - 0.5], color="white", linewidth=0.6)
    for line in range(0, height + 1, patch_size):
        axes.plot([-0.5, width - 0.5], [line - 0.5] * 2, color="white", linewidth=0.6)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def drawn_shares(edges: np.ndarray, exponents: tuple[float, float]) -> np.ndarray:
    """What share of a standard normal, cut at ±1 and mapped to the exponents, lies between neighbouring edges."""
    least, most = exponents
    normal = torch.distributions.Normal(0.0, 1.0)
    places = torch.from_numpy(np.clip(2 * (edges - least) / (most - least) - 1, -1, 1))
    below = normal.cdf(places)
    return np.diff((below / (normal.cdf(torch.tensor(1.0)) - normal.cdf(torch.tensor(-1.0)))).numpy())


@styled
def draw_areas(areas: Sequence[int], tokens: int, exponents: tuple[float, float]) -> Figure:
    """The areas of a run's steps against the cut normal, and the pictures and patches that these steps have."""
    drawn = np.asarray(areas)
    pictures = tokens // drawn
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(WIDTH * 1.25, 3.0))
    edges = np.linspace(*exponents, 21)
    found, _ = np.histogram(np.log2(drawn), edges)
    left.stairs(found, edges, fill=True, color=IMAGE, alpha=0.5, label="drawn")
    expected = len(drawn) * drawn_shares(edges, exponents)
    left.stairs(expected, edges, color=TRUE, label="the cut normal")
    left.set(xlabel="log2 of the area", ylabel="steps", ylim=(0, None))
    left.legend(loc="lower center")
    middle.scatter(drawn[:600], pictures[:600], s=4, color=TEXT)
    middle.set(xscale="log", yscale="log", xlabel="patches a picture may have", ylabel="pictures a step")
    middle.set_xticks(areas_ticks := [2**n for n in range(int(exponents[0]), int(exponents[1]) + 1)])
    middle.set_xticklabels([str(tick) for tick in areas_ticks], fontsize=7.5)
    middle.minorticks_off()
    used = 100 * drawn * pictures / tokens
    right.hist(used, bins=30, color=PREFIX, alpha=0.6)
    right.axvline(100, color=TRUE, linestyle=":", linewidth=1)
    right.set(xlabel="patches of a step, % of C", ylabel="steps")
    largest = np.abs(found - expected).max() / len(drawn)
    figure.suptitle(
        f"{len(drawn):,} steps: bins within {largest:.1%} of the cut normal; {pictures.min():,} to {pictures.max():,} "
        f"pictures, {used.min():.2f} to {used.max():.2f}% of C",
        fontsize=11,
    )
    return figure


def unrolled(strip: Tensor, columns: int) -> Tensor:
    """The picture (3, rows * p, columns * p) of a strip (3, p, patches * p); what fills no row at the end is lost."""
    size = strip.shape[1]
    whole = strip.shape[2] // (size * columns) * size * columns
    return rearrange(strip[..., :whole], "c p (rows columns q) -> c (rows p) (columns q)", columns=columns, q=size)


@styled
def draw_native_batch(batches: Sequence[NativeBatch], most: int = 8) -> Figure:
    """Batches of several areas, a row each: the first pictures of each, their strips unrolled, and behind every picture
    the padding of its strip as grey patches."""
    figure, panels = plt.subplots(len(batches), most, figsize=(WIDTH * 1.25, 1.35 * len(batches) + 0.4), squeeze=False)
    for row, batch in zip(panels, batches, strict=True):
        longest = batch.pictures.shape[3] // batch.pictures.shape[2]
        for axes in row:
            axes.set_axis_off()
        for axes, strip, count, columns in zip(
            row, batch.pictures, batch.patch_counts.tolist(), batch.columns.tolist(), strict=False
        ):
            _show_padded(axes, strip, count, columns)
        text = f"{len(batch)} pictures\nlongest {longest}"
        row[0].annotate(text, (-0.08, 0.5), xycoords="axes fraction", ha="right", va="center", fontsize=8.5)
    share = [padding_share(batch) for batch in batches]
    figure.suptitle(f"{len(batches)} steps of one run; padding is {min(share):.0%} to {max(share):.0%} of the slots")
    return figure


def padding_share(batch: NativeBatch) -> float:
    """How much of a batch's slots for patches is padding."""
    slots = len(batch) * (batch.pictures.shape[3] // batch.pictures.shape[2])
    return 1 - int(batch.patch_counts.sum()) / slots


def _show_padded(axes: Axes, strip: Tensor, count: int, columns: int) -> None:
    size = strip.shape[1]
    picture = unrolled(strip[..., : count * size], columns).permute(1, 2, 0).numpy() / 255
    more = strip.shape[2] // size - count
    rows = -(-more // columns)
    below = np.ones((rows * size, columns * size, 3))
    for patch in range(more):
        top, left = patch // columns * size, patch % columns * size
        below[top + 1 : top + size, left + 1 : left + size] = GREY
    axes.imshow(np.concatenate([picture, below]))


@styled
def draw_area(
    pictures: Sequence[np.ndarray], patch_size: int, milliseconds: Mapping[int, float], exponent: float, scene: int
) -> Figure:
    """One of the pictures (height, width, 3) in the grid that an area of 2 to the exponent gives it, and what that area
    costs a picture; `milliseconds` by area."""
    area, pixels = round(2**exponent), pictures[scene]
    height, width = pixels.shape[:2]
    grid = fitted_grid(width, height, area)
    picture = channels_first(resized(pixels, (grid.rows * patch_size, grid.columns * patch_size)))
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.3))
    show_patches(left, picture, patch_size)
    areas, costs = list(milliseconds), list(milliseconds.values())
    cost = float(np.exp(np.interp(np.log(area), np.log(areas), np.log(costs))))
    right.plot(areas, costs, color=NEUTRAL)
    right.plot(area, cost, "o", color=TEXT, markersize=9)
    right.set(xscale="log", yscale="log", xlabel="area, patches", ylabel="milliseconds a picture")
    right.set_xticks(ticks := [16, 128, 1024, 4096], [f"{tick:,}" for tick in ticks])
    right.minorticks_off()
    right.grid(color=FAINT)
    stretch = grid.columns / grid.rows / (width / height) - 1
    patches = f"{grid.rows} x {grid.columns} = {grid.rows * grid.columns:,} patches"
    figure.suptitle(f"A = {area:,}: {patches}, ratio {stretch:+.0%}; about {cost:.2g} ms")
    return figure
