"""Attention of any layer and head over the picture, and how far it agrees with what a word depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from aimv2_lab.report.inside_figures import show_picture
from aimv2_lab.report.style import IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, colour_scale, styled


def _side(patches: int) -> int:
    return round(patches**0.5)


def _show_over_picture(axes: Axes, picture: Tensor, values: Tensor, colour: str, title: str) -> None:
    """Values (I,) as shades over the picture's patches, the numbers in percent of their sum."""
    side, size = _side(len(values)), picture.shape[-1] / _side(len(values))
    grey = picture.mean(dim=0, keepdim=True).expand(3, -1, -1) * 0.6 + 0.4
    show_picture(axes, grey, title)
    share = values.clamp(min=0) / values.clamp(min=0).sum().clamp(min=1e-12)
    extent = (-0.5, picture.shape[-1] - 0.5, picture.shape[-1] - 0.5, -0.5)
    shades = rearrange(share, "(rows columns) -> rows columns", rows=side)
    axes.imshow(shades.numpy(), cmap=colour_scale(colour), vmin=0, vmax=0.5, extent=extent, alpha=0.6)
    for patch, value in enumerate(share.tolist()):
        row, column = divmod(patch, side)
        centre = ((column + 0.5) * size - 0.5, (row + 0.5) * size - 0.5)
        axes.text(*centre, f"{100 * value:.0f}", ha="center", va="center", fontsize=9, color=TRUE)


def _frame(axes: Axes, patch: int, side: int, size: float, colour: str) -> None:
    row, column = divmod(patch, side)
    corner = (column * size - 0.5, row * size - 0.5)
    axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=colour, linewidth=3))


@styled
def draw_patch_attention(weights: Tensor, picture: Tensor, layer: int, head: int, patch: int) -> Figure:
    """Where one patch looks: encoder weights (layers, H, I, I) of one picture (3, height, width) in 0 … 1.

    Layers, heads and patches count from 0. Raises ValueError for one that does not exist.
    """
    _check(weights, layer, head, patch)
    row, side = weights[layer, head, patch], _side(weights.shape[-1])
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 0.8, 3.7))
    show_picture(left, picture, f"patch {patch} asks")
    _show_over_picture(right, picture, row, IMAGE, "where it takes from, in %")
    for axes in (left, right):
        _frame(axes, patch, side, picture.shape[-1] / side, PREFIX)
    most = int(row.argmax())
    figure.suptitle(f"Encoder layer {layer}, head {head}: patch {patch} takes {row[most]:.0%} from patch {most}")
    return figure


@styled
def draw_word_attention(
    weights: Tensor, picture: Tensor, words: Sequence[str], layer: int, head: int, word: str
) -> Figure:
    """Where the slot that predicts a word looks: decoder weights (layers, H, I + T, I + T) of one caption.

    `words` are unique labels such as "5 green"; the slot has read the words before its own, and predicts it. Raises
    ValueError for a layer, head or word that does not exist.
    """
    patches = weights.shape[-1] - len(words)
    if word not in words:
        raise ValueError(f"word {word!r} is none of {', '.join(words)}")
    place = list(words).index(word)
    _check(weights, layer, head, patches + place)
    row = weights[layer, head, patches + place]
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9), width_ratios=(1, 1.25))
    _show_over_picture(left, picture, row[:patches], IMAGE, "image slots: shares of what goes there, in %")
    read = ["start", *(label.split(" ", 1)[1] for label in words[:place])]
    on_words = row[patches : patches + place + 1].tolist()
    right.barh(range(place + 1), on_words, color=TEXT)
    for at, weight in enumerate(on_words):
        right.text(weight + 0.01, at, f"{weight:.2f}", va="center", fontsize=8)
    right.set_yticks(range(place + 1), read)
    right.invert_yaxis()
    right.set(xlabel="weight", xlim=(0, 1))
    right.set_title("start and words read so far", fontsize=9, fontweight="normal", loc="center")
    share = row[:patches].sum().item()
    said = word.split(" ", 1)[1]
    figure.suptitle(
        f"Decoder layer {layer}, head {head}, predicting “{said}”: {share:.0%} of the weight on the picture"
    )
    return figure


def _check(weights: Tensor, layer: int, head: int, row: int) -> None:
    for name, value, end in (("layer", layer, weights.shape[0]), ("head", head, weights.shape[1])):
        if not 0 <= value < end:
            raise ValueError(f"{name} {value} does not exist; choose 0 … {end - 1}")
    if not 0 <= row < weights.shape[-1]:
        raise ValueError(f"row {row} does not exist; the weights have {weights.shape[-1]}")


@styled
def draw_three_answers(picture: Tensor, word: str, maps: Mapping[str, Tensor]) -> Figure:
    """One picture (3, height, width), and maps (I,) that each claim to say which patches a word depends on."""
    figure, panels = plt.subplots(1, 1 + len(maps), figsize=(WIDTH, 2.9))
    show_picture(panels[0], picture, f"predicting “{word}”")
    for axes, (name, values), colour in zip(panels[1:], maps.items(), (IMAGE, PREFIX, WRONG), strict=False):
        _show_over_picture(axes, picture, values, colour, name)
    tops = {name: int(values.argmax()) for name, values in maps.items()}
    said = ", ".join(f"{name}: patch {top}" for name, top in tops.items())
    figure.suptitle(f"The patch that counts most. {said}", fontsize=10)
    return figure


@styled
def draw_agreement_with_occlusion(
    agreement: Mapping[str, float], top: Mapping[str, float], patches: int, control: str
) -> Figure:
    """How far named maps agree with occlusion: mean rank correlation, and how often they share the first patch.

    `control` names the entry that is hiding once more in another way: what a fair judge of the others can reach.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True)
    names = list(agreement)
    colours = [NEUTRAL if name == control else IMAGE for name in names]
    left.barh(range(len(names)), list(agreement.values()), color=colours)
    right.barh(range(len(names)), list(top.values()), color=colours)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.axvline(0, color=NEUTRAL)
    right.axvline(1 / patches, color=TRUE, linestyle=":", label="chance")
    right.legend(loc="upper right")
    left.set(xlabel="rank correlation", xlim=(min(0, *agreement.values()), 1))
    right.set(xlabel="share of words with the same first patch", xlim=(0, 1))
    best = max((name for name in names if name != control), key=top.__getitem__)
    figure.suptitle(
        f"Closest to hiding: {best}, the same first patch for {top[best]:.0%}; {control} {top[control]:.0%}"
    )
    return figure
