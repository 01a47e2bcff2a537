"""How pairs become batches, drawn: pictures with their prefixes, captions as tokens, draws by worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from aimv2_lab.report.style import FAINT, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, styled, tint


@styled
def draw_batch(
    images: Tensor, words: Sequence[Sequence[str]], counted: Tensor, prefix_lengths: Tensor, patch_size: int
) -> Figure:
    """A small batch as the model gets it: pictures (B, 3, height, width) in 0 … 1 and captions as rows of tokens.

    Patches behind the prefix are veiled; tokens that do not count are pale. `words` are the tokens (B, T) as text.
    """
    size = (WIDTH * 1.4, 0.9 * len(words) + 0.4)
    figure, panels = plt.subplots(len(words), 2, figsize=size, width_ratios=[1, 8], squeeze=False)
    for (picture, tokens), image, row, counts, length in zip(
        panels, images, words, counted, prefix_lengths.tolist(), strict=True
    ):
        picture.imshow(_veiled(image, length, patch_size).numpy())
        picture.set(xticks=[], yticks=[])
        picture.spines[:].set_visible(False)
        picture.set_ylabel(f"M = {length}", color=PREFIX, rotation=0, ha="right", va="center")
        _draw_tokens(tokens, row, counts.tolist())
    share = 1 - counted.float().mean().item()
    figure.suptitle(
        f"One batch: pictures with their prefix, captions with one end token; {share:.0%} of the slots are padding"
    )
    return figure


def _veiled(image: Tensor, prefix_length: int, patch_size: int) -> Tensor:
    """The picture (height, width, 3) with all but the first patches paled."""
    rows, columns = (side // patch_size for side in image.shape[-2:])
    known = (torch.arange(rows * columns) < prefix_length).view(rows, columns)
    known = known.repeat_interleave(patch_size, 0).repeat_interleave(patch_size, 1)
    return torch.where(known, image, 0.25 * image + 0.75).permute(1, 2, 0)


def _draw_tokens(axes: Axes, words: Sequence[str], counts: Sequence[bool]) -> None:
    """Tokens as boxes in a row."""
    axes.set(xlim=(0, len(words)), ylim=(0.15, 0.85))
    axes.set_axis_off()
    for place, (word, counted) in enumerate(zip(words, counts, strict=True)):
        colour = TRUE if word == "</s>" else TEXT if counted else FAINT
        axes.add_patch(Rectangle((place + 0.03, 0.3), 0.94, 0.4, facecolor=colour))
        ink = "white" if counted else tint(TRUE, 0.5)
        axes.text(place + 0.5, 0.5, word, ha="center", va="center", fontsize=8, color=ink)


@styled
def draw_draws_by_worker(draws: Mapping[str, Sequence[int]], batch_size: int, workers: int) -> Figure:
    """Prefix lengths drawn at the positions of a run, a panel per loader; batches go to the workers in turn."""
    figure, panels = plt.subplots(
        len(draws), 1, figsize=(WIDTH, 1.9 * len(draws)), sharex=True, sharey=True, squeeze=False
    )
    for axes, (name, lengths) in zip(panels[:, 0], draws.items(), strict=True):
        for position, length in enumerate(lengths):
            worker = position // batch_size % workers
            axes.bar(position, length, width=0.85, color=tint(PREFIX, 1 - 0.6 * worker / max(workers - 1, 1)))
        for start in range(batch_size, len(lengths), batch_size):
            axes.axvline(start - 0.5, color=NEUTRAL, linewidth=0.8)
        batches = [tuple(lengths[start : start + batch_size]) for start in range(0, len(lengths), batch_size)]
        axes.set_title(f"{name}: {len(set(batches))} different batches of {len(batches)}")
        axes.set_ylabel("prefix length")
    panels[-1, 0].set_xlabel(f"position in the run (dark and pale: the {workers} workers, {batch_size} positions each)")
    return figure
