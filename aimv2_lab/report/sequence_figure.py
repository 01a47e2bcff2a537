"""The decoder's one sequence, drawn: what stands in every slot, what it predicts, and which predictions count."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from aimv2_lab.model.masks import check_prefix_lengths
from aimv2_lab.model.objective import counted_outputs
from aimv2_lab.model.patches import patchify, unpatchify
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, styled, tint

GAP = 0.6  # between the last image slot and the start vector, in slots
INPUT, BOX, TARGET = 0.0, 3.1, 6.0  # heights of the rows, in slots
WORD_HEIGHT = 2.1
UNCOUNTED = 0.3  # strength of what does not count


@styled
def draw_sequence(picture: Tensor, words: Sequence[str], prefix_length: int, patch_size: int) -> Figure:
    """Every slot of one picture (3, height, width) in 0 … 1 with a caption, and what it predicts.

    `words` are the predicted ones, the end token included; the slot of the first holds the start vector. Faint
    predictions do not count under the prefix. Raises ValueError for a prefix outside 1 … I-1.
    """
    tiles = patchify(picture[None], patch_size)[0]
    patches = len(tiles)
    check_prefix_lengths(torch.tensor([prefix_length]), 1, patches)
    counts = counted_outputs(torch.tensor([prefix_length]), patches)[0].tolist()
    figure, axes = plt.subplots(figsize=(10, 4.3))
    axes.set(xlim=(-0.2, patches + len(words) + GAP + 0.2), ylim=(-1.9, TARGET + WORD_HEIGHT + 1.1), aspect="equal")
    axes.set_axis_off()
    _draw_box(axes, patches + len(words) + GAP)
    for slot in range(patches):
        _draw_image_slot(axes, tiles, slot, slot < prefix_length, slot < patches - 1 and counts[slot], patch_size)
    for place, (held, predicted) in enumerate(zip(["start", *words], words, strict=False)):
        _draw_text_slot(axes, patches + GAP + place, held, predicted, is_start=place == 0)
    _name_parts(axes, patches, len(words), prefix_length)
    slots = patches + len(words)
    title = (
        f"{slots} slots, {sum(counts) + len(words)} predictions that count: {sum(counts)} patches, {len(words)} tokens"
    )
    axes.set_title(title)
    return figure


def _draw_box(axes: Axes, width: float) -> None:
    style = "round,pad=0,rounding_size=0.3"
    axes.add_patch(FancyBboxPatch((0, BOX), width, 1.5, boxstyle=style, facecolor=FAINT, edgecolor=TRUE, linewidth=1.4))
    text = "Multimodal decoder: every slot sees itself and all slots to its left"
    axes.text(width / 2, BOX + 0.75, text, ha="center", va="center", fontsize=11)


def _draw_image_slot(axes: Axes, tiles: Tensor, slot: int, in_prefix: bool, counts: bool, patch_size: int) -> None:
    """A feature below, and above it the next patch, or nothing for the last."""
    colour = PREFIX if in_prefix else IMAGE
    axes.add_patch(Rectangle((slot + 0.06, INPUT), 0.88, WORD_HEIGHT, facecolor=colour))
    axes.text(slot + 0.5, INPUT + WORD_HEIGHT / 2, str(slot), color="white", ha="center", va="center")
    _arrow(axes, slot + 0.5, INPUT + WORD_HEIGHT, BOX, 1.0)
    if slot == len(tiles) - 1:
        axes.text(slot + 0.5, TARGET + 0.5, "–", ha="center", va="center", color=TRUE)
        return
    strength = 1.0 if counts else UNCOUNTED
    _arrow(axes, slot + 0.5, BOX + 1.5, TARGET, strength)
    tile = unpatchify(tiles[None, slot + 1 : slot + 2], (1, 1), patch_size)[0].permute(1, 2, 0)
    place = (slot + 0.06, slot + 0.94, TARGET + 0.06, TARGET + 0.94)
    axes.imshow(tile.numpy(), extent=place, alpha=strength, zorder=2)
    edge = tint(IMAGE, strength)
    axes.add_patch(Rectangle((place[0], place[2]), 0.88, 0.88, fill=False, edgecolor=edge, linewidth=1.5, zorder=3))
    axes.text(slot + 0.5, TARGET + 1.35, str(slot + 1), color=edge, ha="center", va="center", fontsize=9)


def _draw_text_slot(axes: Axes, left: float, held: str, predicted: str, is_start: bool) -> None:
    """The start vector or a word below, and above it the word to be predicted."""
    for bottom, word, fill in ((INPUT, held, NEUTRAL if is_start else TEXT), (TARGET, predicted, TEXT)):
        axes.add_patch(Rectangle((left + 0.06, bottom), 0.88, WORD_HEIGHT, facecolor=fill))
        ink = TRUE if fill == NEUTRAL else "white"
        axes.text(left + 0.5, bottom + WORD_HEIGHT / 2, word, color=ink, rotation=90, ha="center", va="center")
    _arrow(axes, left + 0.5, INPUT + WORD_HEIGHT, BOX, 1.0)
    _arrow(axes, left + 0.5, BOX + 1.5, TARGET, 1.0)


def _name_parts(axes: Axes, patches: int, words: int, prefix_length: int) -> None:
    """What the parts of the two rows are."""
    text = patches + GAP
    below = (
        (0, prefix_length, "features of the prefix", PREFIX),
        (prefix_length, patches, "features of the other patches", IMAGE),
        (text, text + 1, "start\nvector", TRUE),
        (text + 1, text + words, "the caption but its last token", TEXT),
    )
    for first, end, name, colour in below:
        axes.text((first + end) / 2, INPUT - 0.35, name, color=colour, ha="center", va="top", fontsize=9.5)
    above, top = TARGET + 1.75, TARGET + WORD_HEIGHT + 0.25
    axes.text((prefix_length - 1) / 2, above, "already seen", color=tint(TRUE, 0.6), ha="center", fontsize=9.5)
    middle = (prefix_length - 1 + patches - 1) / 2
    axes.text(middle, above, "pixel head: the next patch", color=IMAGE, ha="center", fontsize=9.5)
    axes.text(text + words / 2, top, "text head: the next token", color=TEXT, ha="center", fontsize=9.5)


def _arrow(axes: Axes, x: float, bottom: float, top: float, strength: float) -> None:
    style = {"arrowstyle": "-|>", "color": tint(TRUE, 0.75 * strength), "linewidth": 0.9, "mutation_scale": 7}
    axes.annotate("", xy=(x, top), xytext=(x, bottom), arrowprops=style | {"shrinkA": 1, "shrinkB": 1})
