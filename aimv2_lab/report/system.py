"""The picture of the whole system, with one part lit: the README's picture and every notebook's map.

python -m aimv2_lab.report.system notebooks/images/system.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import matplotlib.pyplot as plt
import torch
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.report.boxes import BOXES
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, styled, tint

Part = Literal["data", "patches", "prefix", "encoder", "decoder", "objective"]

SIDE, PREFIX_LENGTH = 3, 4  # of the example: 3 x 3 patches, 4 of them in the prefix
PATCHES = SIDE * SIDE
WORDS = ("a", "red", "disc")
PIXELS = 20  # along one side of an example patch
DIMMED = 0.22  # strength of the parts that are not lit
BADGE = 3.0  # width of a badge with its distance from the name; all places in hundredths of the width
SLOT, FIRST_SLOT = 4.3, 41.5  # width and left end of the decoder's slots


@styled
def draw_system(highlight: Part | None = None) -> Figure:
    """Patches → prefix encoder → projection, start vector and caption → causal decoder → two heads and losses.

    `highlight` dims every other part. Raises ValueError for an unknown part. Source: paper, Figure 1 and section 2.
    """
    if highlight is not None and highlight not in get_args(Part):
        raise ValueError(f"unknown part {highlight!r}; the parts are {', '.join(get_args(Part))}")
    figure, axes = plt.subplots(figsize=(10, 5.7))
    axes.set(xlim=(0, 100), ylim=(1, 58), aspect="equal")
    axes.set_axis_off()
    _name(axes, 1, 54.5, "AIMv2", TRUE, 1.0, fontsize=20)
    axes.text(1, 50.5, "See the start of a picture; predict the rest, then its caption", fontsize=10.5, va="center")
    strength = {part: 1.0 if highlight in (None, part) else DIMMED for part in get_args(Part)}
    _draw_data(axes, strength["data"])
    _draw_patches(axes, max(strength["patches"], strength["prefix"]))
    _draw_encoder(axes, strength["encoder"])
    _draw_prefix(axes, max(strength["prefix"], strength["encoder"]))
    _draw_decoder(axes, strength["decoder"])
    _draw_objective(axes, strength["objective"])
    return figure


def _draw_data(axes: Axes, strength: float) -> None:
    _name(axes, 1, 21.3, "picture, caption", TRUE, strength)
    axes.imshow(example_picture().permute(1, 2, 0).numpy(), extent=(1, 14.5, 5.5, 19), alpha=strength, zorder=2)
    axes.text(7.75, 3, f"“{' '.join(WORDS)}”", color=tint(TEXT, strength), fontsize=11, ha="center", va="center")
    _arrow(axes, [(15.2, 12.2), (18.3, 12.2)], strength)


def _draw_patches(axes: Axes, strength: float) -> None:
    _name(axes, 19, 21.3, "patches", TRUE, strength)
    tile, gap = 4.1, 0.6
    for patch in range(PATCHES):
        row, column = divmod(patch, SIDE)
        left, bottom = 19 + column * (tile + gap), 5.5 + (SIDE - 1 - row) * (tile + gap)
        _tile(axes, patch, left, bottom, tile, strength)
        colour = PREFIX if patch < PREFIX_LENGTH else IMAGE
        _frame(axes, left, bottom, tile, tile, tint(colour, strength))
    text = f"prefix: the first M = {PREFIX_LENGTH}"
    axes.text(25.8, 3, text, color=tint(PREFIX, strength), fontsize=10, ha="center", va="center")
    _arrow(axes, [(25.7, 23.3), (25.7, 27.2)], strength)


def _draw_encoder(axes: Axes, strength: float) -> None:
    _box(axes, 1, 27.7, 32.6, 19.3, IMAGE, strength)
    ink = tint(TRUE, strength)
    _name(axes, 3, 44, "Vision encoder", IMAGE, strength, fontsize=12)
    lines = ("blocks of RMSNorm,", "attention, SwiGLU", "", "this is what", "pre-training is for")
    axes.text(3, 41.5, "\n".join(lines), color=ink, fontsize=10, va="top", linespacing=1.35)
    _arrow(axes, [(33.9, 37.4), (37.3, 37.4), (37.3, 7.9), (40.9, 7.9)], strength)
    axes.text(36.3, 22, "projection", rotation=90, color=ink, fontsize=10, ha="center", va="center")


def _draw_prefix(axes: Axes, strength: float) -> None:
    """The mask inside the encoder: a matrix of who may look at whom."""
    mask = prefix_mask(torch.tensor([PREFIX_LENGTH]), PATCHES)[0, 0]
    size = 11.7 / PATCHES
    for query in range(PATCHES):
        for key in range(PATCHES):
            seen = PREFIX if key > query else IMAGE
            colour = tint(seen, strength) if mask[query, key] else tint(FAINT, max(strength, 0.6))
            place = (20.5 + key * size, 42.2 - (query + 1) * size)
            axes.add_patch(Rectangle(place, size * 0.88, size * 0.88, facecolor=colour, zorder=3))
    _name(axes, 25.2, 29.1, "prefix attention", PREFIX, strength, fontsize=10, ha="center")


def _draw_decoder(axes: Axes, strength: float) -> None:
    ink = tint(TRUE, strength)
    for slot in range(PATCHES):
        colour = PREFIX if slot < PREFIX_LENGTH else IMAGE
        _slot(axes, slot, 6, 3.8, colour, str(slot), strength)
    _slot(axes, PATCHES, 6, 3.8, NEUTRAL, "start", strength)
    for position, word in enumerate(WORDS):
        _slot(axes, PATCHES + 1 + position, 6, 3.8, TEXT, word, strength)
    axes.text(_centre(4), 3, "image features", color=tint(IMAGE, strength), fontsize=10, ha="center", va="center")
    axes.text(_centre(11), 3, "caption", color=tint(TEXT, strength), fontsize=10, ha="center", va="center")
    for slot in range(PATCHES + 1 + len(WORDS)):
        _arrow(axes, [(_centre(slot), 10.3), (_centre(slot), 13.4)], strength, small=True)
    _box(axes, FIRST_SLOT - 0.5, 14, SLOT * 13 + 0.6, 8.6, TRUE, strength)
    middle = FIRST_SLOT + SLOT * 6.5
    _name(axes, middle, 19.9, "Multimodal decoder", TRUE, strength, fontsize=12, ha="center")
    axes.text(middle, 16.4, "causal: every slot sees itself and what stands to its left", color=ink, fontsize=10,
              ha="center", va="center")  # fmt: skip
    _head(axes, 0, PATCHES, "pixel head", IMAGE, strength)
    _head(axes, PATCHES, PATCHES + 1 + len(WORDS), "text head", TEXT, strength)


def _head(axes: Axes, first: int, end: int, name: str, colour: str, strength: float) -> None:
    """A linear head over the slots first … end-1."""
    left, width = FIRST_SLOT + first * SLOT, (end - first) * SLOT - 0.5
    _box(axes, left, 26.4, width, 4.2, colour, strength)
    _name(axes, left + width / 2, 28.5, name, colour, strength, ha="center")
    for slot in range(first, end):
        _arrow(axes, [(_centre(slot), 23.1), (_centre(slot), 26.0)], strength, small=True)


def _draw_objective(axes: Axes, strength: float) -> None:
    """What is predicted, which predictions count, and the two losses."""
    for slot in range(PATCHES + 1 + len(WORDS)):
        if slot != PATCHES - 1:  # after the last patch there is none to predict
            counts = slot >= PREFIX_LENGTH - 1
            _arrow(axes, [(_centre(slot), 31.2), (_centre(slot), 34.2)], strength if counts else DIMMED, small=True)
    for slot in range(PATCHES - 1):
        counts = slot >= PREFIX_LENGTH - 1
        size, left = SLOT - 0.7, FIRST_SLOT + slot * SLOT + 0.1
        _tile(axes, slot + 1, left, 35, size, strength if counts else strength * 0.3)
        _frame(axes, left, 35, size, size, tint(IMAGE, strength if counts else strength * DIMMED))
    for position, word in enumerate((*WORDS, "end")):
        _slot(axes, PATCHES + position, 35, SLOT - 0.7, TEXT, word, strength)
    note = "already seen:\ncount for nothing"
    axes.text(_centre(1), 42, note, color=tint(TRUE, strength * 0.65), fontsize=9.5, ha="center", va="center")
    _loss(axes, 3, 8, "pixel loss", "standardised patches,\nmean squared error", IMAGE, strength)
    _loss(axes, 9, 13, "caption loss", "next token,\ncross-entropy", TEXT, strength)
    total = "total = caption loss + 0.4 × pixel loss"
    middle = FIRST_SLOT + SLOT * 8
    axes.text(middle, 54.5, total, color=tint(TRUE, strength), fontsize=12, fontweight="bold", ha="center", va="center")


def _loss(axes: Axes, first: int, end: int, name: str, text: str, colour: str, strength: float) -> None:
    """A bracket over the slots that count, and the loss they make."""
    left, right = FIRST_SLOT + first * SLOT + 0.2, FIRST_SLOT + end * SLOT - 0.7
    middle = (left + right) / 2
    axes.plot([left, left, right, right], [40, 41, 41, 40], color=tint(colour, strength), linewidth=1.5)
    _name(axes, middle, 48.9, name, colour, strength, fontsize=11, ha="center")
    axes.text(middle, 44.6, text, color=tint(TRUE, strength), fontsize=10, ha="center", va="center")


def example_picture() -> Tensor:
    """The picture that is cut up: a red disc over a meadow, (3, 60, 60) in 0 … 1."""
    size = SIDE * PIXELS
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    sky, meadow = torch.tensor([0.80, 0.90, 0.97]), torch.tensor([0.62, 0.78, 0.48])
    picture = torch.where(y[..., None] < 44, sky - 0.002 * y[..., None], meadow - 0.003 * x[..., None])
    disc = (x - 32.0) ** 2 + (y - 27.0) ** 2 < 15.0**2
    return torch.where(disc[..., None], torch.tensor([0.85, 0.22, 0.16]), picture).permute(2, 0, 1)


def _centre(slot: int) -> float:
    return FIRST_SLOT + (slot + 0.5) * SLOT - 0.25


def _tile(axes: Axes, patch: int, left: float, bottom: float, size: float, strength: float) -> None:
    row, column = divmod(patch, SIDE)
    pixels = example_picture()[:, row * PIXELS : (row + 1) * PIXELS, column * PIXELS : (column + 1) * PIXELS]
    axes.imshow(
        pixels.permute(1, 2, 0).numpy(), extent=(left, left + size, bottom, bottom + size), alpha=strength, zorder=2
    )


def _frame(axes: Axes, left: float, bottom: float, width: float, height: float, colour: object) -> None:
    axes.add_patch(Rectangle((left, bottom), width, height, fill=False, edgecolor=colour, linewidth=1.8, zorder=3))


def _slot(axes: Axes, slot: int, bottom: float, height: float, colour: str, text: str, strength: float) -> None:
    """One slot of the decoder's sequence, or one predicted token."""
    left = FIRST_SLOT + slot * SLOT
    axes.add_patch(Rectangle((left, bottom), SLOT - 0.5, height, facecolor=tint(colour, strength), zorder=2))
    ink = tint(TRUE, strength) if colour == NEUTRAL else "white"
    axes.text(_centre(slot), bottom + height / 2, text, color=ink, fontsize=9.5, ha="center", va="center", zorder=4)


def _box(axes: Axes, left: float, bottom: float, width: float, height: float, colour: str, strength: float) -> None:
    style, fill = "round,pad=0,rounding_size=1", tint(colour, 0.08 * strength)
    edge = tint(colour, strength)
    box = FancyBboxPatch((left, bottom), width, height, boxstyle=style, facecolor=fill, edgecolor=edge, linewidth=1.6)
    axes.add_patch(box)


def _name(
    axes: Axes, x: float, y: float, name: str, colour: str, strength: float, fontsize: float = 10.5, ha: str = "left"
) -> None:
    """A box's name, and its badge: the number of the notebook that builds it."""
    (number,) = [box.notebook for box in BOXES if box.name == name]
    x -= BADGE / 2 if ha == "center" else 0.0  # name and badge are centred together
    ink = tint(colour, strength)
    text = axes.text(x, y, name, color=ink, fontsize=fontsize, fontweight="bold", ha=ha, va="center_baseline")
    badge = axes.annotate(number, (1, 0.5), (8, 0), text, "offset points", color="white", fontsize=9, zorder=5)
    badge.set(ha="left", va="center")
    badge.set_bbox({"boxstyle": "round,pad=0.28,rounding_size=0.55", "facecolor": ink, "edgecolor": "none"})


def _arrow(axes: Axes, corners: list[tuple[float, float]], strength: float, small: bool = False) -> None:
    """A line through the corners with an arrow head at its end."""
    colour, width = tint(TRUE, strength * 0.75), 0.9 if small else 1.8
    if len(corners) > 2:
        axes.plot(*zip(*corners[:-1], strict=True), color=colour, linewidth=width, solid_joinstyle="round")
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=corners[-1], xytext=corners[-2], arrowprops=arrow | {"mutation_scale": 7 if small else 12})


def save_system(path: tyro.conf.Positional[Path], highlight: Part | None = None) -> None:
    """Draw the picture of the system into a PNG file."""
    figure = draw_system(highlight)
    figure.savefig(path, dpi=160)
    plt.close(figure)


if __name__ == "__main__":
    tyro.cli(save_system)
