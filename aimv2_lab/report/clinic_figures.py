"""What an examination of a training run found, drawn: every title is computed from the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from aimv2_lab.report.band_figures import COLOURS, UNITS, draw_band
from aimv2_lab.report.bands import NAMES, Band
from aimv2_lab.report.curves import LOSSES
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, colour_scale, styled

SAME = 1e-4  # features nearer than this, relatively, count as equal
NEAR = 0.1  # a first loss within this share of the blank guess's is as expected


@styled
def draw_first_losses(found: tuple[float, float], blank: tuple[float, float]) -> Figure:
    """The two losses of an untrained model beside those of a model that knows nothing."""
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 2.4))
    for axes, loss, value, expected in zip(panels, LOSSES, found, blank, strict=True):
        axes.barh(["this run", "blank guess"], [value, expected], color=[COLOURS[loss], NEUTRAL], height=0.6)
        for row, number in enumerate((value, expected)):
            axes.text(number, row, f" {number:.2f}", va="center")
        near = abs(value - expected) <= NEAR * expected
        axes.set_title(f"First {NAMES[loss]}: {'as expected' if near else 'not a blank guess'}")
        axes.set(xlabel=UNITS[loss], xlim=(0, 1.25 * max(value, expected)))
        axes.invert_yaxis()
    return figure


@styled
def draw_over_floors(
    records: Sequence[Mapping[str, float]], band: Band, floors: Mapping[str, float], body: str
) -> Figure:
    """Both losses of a run over the band of healthy runs on the same data, with the floors that are known.

    A floor is the loss of the best honest guess; `floors` holds "pixel", "text" or both.
    """
    figure = draw_band(records, band, f"trained on {body}")
    for axes, loss in zip(figure.axes, LOSSES, strict=True):
        if loss in floors:
            axes.axhline(floors[loss], color=TRUE, linewidth=1, linestyle=":", label=f"floor {floors[loss]:.2f}")
        axes.set_ylim(bottom=0)
        axes.legend()
    return figure


@styled
def draw_targets(compared: Tensor, moved: Tensor, tokens: Tensor, counted: Tensor, prefix_length: int) -> Figure:
    """Which patch every output is compared with, and which tokens of a batch count.

    `compared` and `moved` (I-1,): the patch of each output 0 … I-2, and whether it gets a gradient. `tokens` and
    `counted` (B, T), where token 0 is padding.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9), width_ratios=(1.35, 1))
    _draw_compared(left, compared, moved, prefix_length)
    _draw_counted(right, tokens, counted)
    return figure


def _draw_compared(axes: Axes, compared: Tensor, moved: Tensor, prefix_length: int) -> None:
    outputs = torch.arange(len(compared))
    patches = len(compared) + 1
    kinds = torch.zeros(len(compared), patches, dtype=torch.int)
    kinds[outputs, compared] = 1 + moved.int()
    axes.imshow(kinds.numpy(), cmap=ListedColormap([FAINT, NEUTRAL, IMAGE]), vmin=0, vmax=2)
    _grid(axes, kinds)
    for output in range(prefix_length - 1, len(compared)):
        axes.add_patch(Rectangle((output + 0.5, output - 0.5), 1, 1, fill=False, edgecolor=TRUE, linewidth=1.6))
    expected = outputs >= prefix_length - 1
    wrong = int((compared != outputs + 1).sum())
    extra, missing = int((moved & ~expected).sum()), int((~moved & expected).sum())
    faults = [f"{wrong} outputs compared with another patch"] if wrong else []
    faults += [f"{extra} outputs too many count"] if extra else []
    faults += [f"{missing} outputs do not count"] if missing else []
    axes.set_title(
        "; ".join(faults).capitalize() if faults else f"M = {prefix_length}: outputs and patches as they must be"
    )
    axes.set(xlabel="patch", ylabel="output")
    handles = [Patch(color=IMAGE, label="compared, counts"), Patch(color=NEUTRAL, label="compared, counts not")]
    handles += [Patch(facecolor="white", edgecolor=TRUE, label="should count")]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, columnspacing=1, handlelength=1
    )


def _draw_counted(axes: Axes, tokens: Tensor, counted: Tensor) -> None:
    padding = tokens == 0
    kinds = counted.int()
    kinds[padding & counted] = 2
    axes.imshow(kinds.numpy(), cmap=ListedColormap([FAINT, TEXT, WRONG]), vmin=0, vmax=2)
    _grid(axes, kinds)
    wrong = int((padding & counted).sum())
    axes.set_title(f"{wrong} of {int(padding.sum())} pads count" if wrong else "No pad counts")
    axes.set(xlabel="token", ylabel="caption")
    handles = [
        Patch(color=TEXT, label="counts"),
        Patch(color=WRONG, label="pad that counts"),
        Patch(color=FAINT, label="pad"),
    ]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, columnspacing=1, handlelength=1
    )


def _grid(axes: Axes, kinds: Tensor) -> None:
    rows, columns = kinds.shape
    axes.set_xticks(torch.arange(columns + 1).numpy() - 0.5, minor=True)
    axes.set_yticks(torch.arange(rows + 1).numpy() - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(0, columns, max(columns // 8, 1)))
    axes.set_yticks(range(0, rows, max(rows // 8, 1)))


@styled
def draw_values(entering: Tensor, predicted: Tensor) -> Figure:
    """Histograms of the pixel values that enter the model and of those it is to predict, both flat."""
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 2.9))
    for axes, values, name in zip(panels, (entering, predicted), ("Enters", "To be predicted"), strict=True):
        axes.hist(values.numpy(), bins=40, color=IMAGE)
        axes.set_title(f"{name}: mean {values.mean().item():.2f}, deviation {values.std().item():.2f}")
        axes.set(xlabel="value", ylabel="pixels", yticks=[])
    return figure


@styled
def draw_prefix_lengths(lengths: Tensor) -> Figure:
    """The prefix lengths (2 ranks, steps, images of a rank) that a run on two ranks draws."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2))
    for rank, (colour, marker, shift) in enumerate(((PREFIX, "o", -0.12), (TRUE, "x", 0.12))):
        steps = torch.arange(lengths.shape[1])[:, None].expand_as(lengths[rank]) + shift
        axes.scatter(steps.numpy(), lengths[rank].numpy(), color=colour, marker=marker, s=28, label=f"rank {rank}")
    axes.set(xlabel="step", ylabel="prefix length M", ylim=(0, int(lengths.max()) + 1), xticks=range(lengths.shape[1]))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    one_for_all = int((lengths == lengths[..., :1]).all(dim=-1).sum())
    if one_for_all:
        found = f"{one_for_all} of {lengths.shape[0] * lengths.shape[1]} batches hold one length only"
    elif torch.equal(lengths[0], lengths[1]):
        found = "Rank 1 draws exactly what rank 0 draws"
    else:
        found = "Every image draws its own length, on every rank"
    axes.set_title(found)
    return figure


@styled
def draw_places(distances: Tensor) -> Figure:
    """Relative distances (rows, columns) of a flat picture's features from that of its first patch."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.6, 3.0))
    axes.imshow(distances.numpy(), cmap=colour_scale(IMAGE), vmin=0, vmax=max(1.0, distances.max().item()))
    for (row, column), distance in np.ndenumerate(distances.numpy()):
        axes.text(column, row, f"{distance:.1f}", ha="center", va="center", fontsize=9)
    axes.set(xticks=[], yticks=[], xlabel="patches of a picture of one colour")
    alike = distances.max().item() < SAME
    axes.set_title("All features alike: no place is known" if alike else "Every place has a feature of its own")
    return figure


@styled
def draw_parity(differences: Tensor, places: Sequence[str], limit: float) -> Figure:
    """Relative differences (2, places) from the published encoder: ordinary pictures, then very dim ones."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.0))
    kinds = (("ordinary pictures", IMAGE, "o", -0.06), ("1000 times dimmer", PREFIX, "s", 0.06))
    for row, (name, colour, marker, shift) in zip(differences, kinds, strict=True):
        axes.scatter(
            [place + shift for place in range(len(places))],
            row.clamp(min=1e-9),
            color=colour,
            marker=marker,
            label=name,
        )
    axes.axhline(limit, color=TRUE, linewidth=1, linestyle=":", label="limit")
    axes.set(yscale="log", ylim=(3e-10, 10), ylabel="difference / largest value")
    axes.set_xticks(range(len(places)), places)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    above = differences > limit
    if not above.any():
        found = "The encoder is the published one"
    elif not above[0].any():
        found = "It differs on very dim pictures only"
    else:
        found = f"It differs from the place '{places[int(above[0].int().argmax())]}' on"
    axes.set_title(found)
    return figure


@styled
def draw_updates(rates: Tensor, kept: Mapping[str, float], peak_lr: float) -> Figure:
    """The learning rate of every step, and the change of each kind of weight by decay alone."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9))
    left.plot(range(1, len(rates) + 1), rates, color=TRUE)
    left.axhline(peak_lr, color=NEUTRAL, linestyle="--", linewidth=1.2, label="peak of the recipe")
    top = rates.max().item()
    left.set_title(f"Highest rate: {top / peak_lr:.1f} × the recipe's peak")
    left.set(xlabel="step", ylabel="learning rate", ylim=(0, 1.25 * max(top, peak_lr)))
    left.legend(loc="upper right")
    change = {kind: 100 * (share - 1) for kind, share in kept.items()}
    colours = [IMAGE if kind == "matrices" else WRONG for kind in change]
    right.barh(list(change), list(change.values()), color=colours)
    right.set(xlabel="change of the norm in percent", xlim=(1.45 * min(change.values()) - 0.1, 0.1))
    for row, value in enumerate(change.values()):
        right.text(value, row, f"{value:.1f} ", ha="right", va="center")
    decayed = [kind for kind, value in change.items() if value < -0.01]
    right.set_title(
        "Decay shrinks matrices only" if decayed == ["matrices"] else f"Decay shrinks {len(decayed)} kinds of weight"
    )
    right.invert_yaxis()
    return figure


@styled
def draw_findings(found: Tensor, faults: Sequence[str], examinations: Sequence[str], curves: Sequence[str]) -> Figure:
    """Which examination shows which fault, from booleans (faults, examinations).

    `curves` names the examinations that a training log shows by itself; the title counts what they leave unseen.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 0.29 * len(faults) + 1.3))
    axes.imshow(found.int().numpy(), cmap=ListedColormap([FAINT, WRONG]), vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(examinations)), examinations)
    axes.set_yticks(range(len(faults)), faults)
    axes.xaxis.tick_top()
    axes.set_xticks(torch.arange(len(examinations) + 1).numpy() - 0.5, minor=True)
    axes.set_yticks(torch.arange(len(faults) + 1).numpy() - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    columns = [place for place, name in enumerate(examinations) if name in curves]
    unseen = ~found[:, columns].any(dim=1)
    for label, silent in zip(axes.get_yticklabels(), unseen.tolist(), strict=True):
        label.set_fontweight("bold" if silent else "normal")
    axes.set_title(f"No loss curve shows {int(unseen.sum())} of {len(faults)} faults (bold)", pad=12)
    return figure
