"""What the choice of a prefix does, drawn: loss curves over a floor, a change of attention, the spread of prefixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, styled, tint

SMOOTHED = 10  # steps that a drawn point averages over
LINES = ((PREFIX, "-"), (WRONG, "-"), (TEXT, "--"), (NEUTRAL, "-"))  # the first is the honest run
LEVEL = 0.98  # a mean of the last steps below this share of the floor is more than noise


@styled
def draw_losses_over_floor(losses: Mapping[str, Sequence[float]], floor: float) -> Figure:
    """Pixel losses of named runs, averaged over a few steps, and the floor that no honest run gets below.

    The title names the runs that end below it. Raises ValueError for runs too short to be averaged, or too many.
    """
    if len(losses) > len(LINES) or min(map(len, losses.values())) < SMOOTHED:
        raise ValueError(f"draw at most {len(LINES)} runs of at least {SMOOTHED} steps, not {len(losses)}")
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    ends = {}
    for (name, run), (colour, line) in zip(losses.items(), LINES, strict=False):
        smooth = torch.tensor(run).unfold(0, SMOOTHED, 1).mean(dim=1)
        axes.plot(range(SMOOTHED, len(run) + 1), smooth, color=colour, linestyle=line, label=name)
        ends[name] = smooth[-1].item()
    axes.axhline(floor, color=TRUE, linewidth=1, linestyle=":", label=f"noise floor {floor:.3f}")
    axes.set(xlabel="step", ylabel=f"pixel loss, mean of {SMOOTHED} steps")
    axes.legend(loc="best")
    below = [name for name, end in ends.items() if end < LEVEL * floor]
    axes.set_title(f"Ends below the noise floor: {', '.join(below)}" if below else "No run ends below the noise floor")
    return figure


@styled
def draw_attention_switch(errors: Mapping[str, tuple[float, float]]) -> Figure:
    """Next-patch error of named encoders, (causal attention, bidirectional attention), to the same patches."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    for (name, (causal, bidirectional)), colour in zip(errors.items(), (IMAGE, PREFIX), strict=True):
        axes.plot([0, 1], [causal, bidirectional], color=colour, marker="o", markersize=7)
        axes.text(-0.04, causal, f"{causal:.2f}", color=colour, ha="right", va="center")
        above = bidirectional == max(opened for _, opened in errors.values())
        side = "bottom" if above else "top"  # so that labels of close lines stay apart
        axes.text(1.04, bidirectional, f"{bidirectional:.2f}  {name}", color=colour, va=side)
    axes.set(xlim=(-0.2, 1.75), xticks=[0, 1], ylabel="next-patch error")
    axes.set_xticklabels(["causal attention", "bidirectional attention\nto the same patches"])
    axes.set_ylim(0, 1.15 * max(max(pair) for pair in errors.values()))
    changes = [f"{opened - closed:+.2f} if {name}" for name, (closed, opened) in errors.items()]
    axes.set_title(f"Opening the mask: {', '.join(changes)}")
    return figure


def counted_share(patches: int) -> Tensor:
    """How often each of the outputs 0 … I-2 counts, (I-1,), for a prefix uniform on 1 … I-1: (i+1) / (I-1)."""
    return torch.arange(1, patches) / (patches - 1)


def expected_sight(patches: int) -> Tensor:
    """How many patches each query sees on average, (I,), for a prefix uniform on 1 … I-1: the mean of max(i+1, M)."""
    lengths = torch.arange(1, patches)
    return torch.maximum(torch.arange(1, patches + 1)[:, None], lengths).float().mean(dim=1)


@styled
def draw_prefix_spread(prefix_lengths: Tensor, patches: int, bars: int = 15) -> Figure:
    """How often each output counts, and how many patches each query sees: drawn lengths (N,) beside expectation."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 1.2, 3.5))
    outputs, queries = torch.arange(patches - 1), torch.arange(patches)
    counted = (outputs >= prefix_lengths[:, None] - 1).float().mean(dim=0)
    groups = outputs.tensor_split(bars)
    centres, widths = [group.float().mean().item() for group in groups], [0.85 * len(group) for group in groups]
    shares = [counted[group].mean().item() for group in groups]
    left.bar(centres, shares, width=widths, color=tint(IMAGE, 0.45), label=f"{len(prefix_lengths)} prefixes drawn")
    left.plot(outputs, counted_share(patches), color=TRUE, label="(i + 1) / (I − 1)")
    left.set(xlabel="output i", ylabel="share of images in which it counts", ylim=(0, 1.05))
    left.set_title(f"Output 0 counts in 1 of {patches - 1} images, the last in all")
    left.legend(loc="upper left")
    seen = torch.maximum(queries + 1, prefix_lengths[:, None]).float()
    low, high = (seen.quantile(share, dim=0) for share in (0.1, 0.9))
    right.fill_between(queries, low, high, color=tint(PREFIX, 0.25), linewidth=0, label="prefix: 80% of those drawn")
    right.plot(queries, expected_sight(patches), color=PREFIX, label="prefix: mean of max(i + 1, M)")
    right.plot(queries, queries + 1, color=IMAGE, label="causal: i + 1")
    right.axhline(patches, color=TRUE, linestyle="--", linewidth=1.2, label="inference: all")
    right.set(xlabel="query i", ylabel="patches it sees", ylim=(0, patches * 1.05))
    right.set_title(f"Query 0 sees {expected_sight(patches)[0].item():.0f} patches on average, not 1")
    right.legend(loc="lower right")
    return figure


@styled
def draw_model_leaks(matrix: Tensor, allowed: Tensor, patches: int, prefix_length: int) -> Figure:
    """Which patches and tokens reach which outputs of the whole model, from `lessons.model_leaks`' two matrices.

    Leaks stand out in their own colour; the bars at the right mark the outputs that count.
    """
    tokens = len(matrix) - patches
    kinds = (matrix > 0).int()
    kinds[:, patches:] *= 2
    leaks = (matrix > 0) & ~allowed
    kinds[leaks] = 3
    figure, axes = plt.subplots(figsize=(WIDTH, WIDTH * 0.62))
    axes.imshow(kinds.numpy(), cmap=ListedColormap([FAINT, IMAGE, TEXT, WRONG]), vmin=0, vmax=3)
    axes.set_xticks(torch.arange(len(matrix) + 1).numpy() - 0.5, minor=True)
    axes.set_yticks(torch.arange(len(matrix) + 1).numpy() - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    _label_parts(axes, patches, tokens, prefix_length)
    verdict = f"{int(leaks.sum())} pairs must not be connected" if leaks.any() else "no output sees what it must not"
    axes.set_title(f"Prefix of {prefix_length}: {verdict}")
    return figure


def _label_parts(axes: Axes, patches: int, tokens: int, prefix_length: int) -> None:
    """Name rows and columns, part pixels from text, and mark what counts."""
    axes.axhline(patches - 0.5, color=TRUE, linewidth=1.5)
    axes.axvline(patches - 0.5, color=TRUE, linewidth=1.5)
    end = patches + tokens
    names = [*map(str, range(0, patches, 3)), *map(str, range(tokens))]
    places = [*range(0, patches, 3), *range(patches, end)]
    axes.set_xticks(places, names)
    axes.set_yticks(places, names)
    axes.set_xlabel("patch j, then token")
    axes.set_ylabel("pixel output i, then text output")
    for first, last in ((prefix_length - 1, patches - 2), (patches, end - 1)):
        ends = [first - 0.4, last + 0.4]
        axes.plot([end + 0.1] * 2, ends, color=TRUE, linewidth=4, solid_capstyle="butt", clip_on=False)
    names_of = {
        IMAGE: "sees the patch",
        TEXT: "sees the token",
        WRONG: "sees, but must not",
        FAINT: "gradient exactly 0",
        TRUE: "counts",
    }
    handles = [Patch(color=colour, label=name) for colour, name in names_of.items()]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.05, 1.0), handlelength=1.0)
    axes.set(xlim=(-0.5, end - 0.5), ylim=(end - 0.5, -0.5))
