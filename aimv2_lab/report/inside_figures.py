"""What a trained model expects to see, and what its picture does for its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.data.transforms import denormalise
from aimv2_lab.evaluation.patch_kinds import KINDS, prediction_errors
from aimv2_lab.evaluation.reconstruct import reconstruct
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.report.demo import outline_prefix
from aimv2_lab.report.style import IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, colour_scale, styled, tint

KIND_COLOURS = dict(zip(KINDS, (NEUTRAL, IMAGE, WRONG), strict=True))


def show_picture(axes: Axes, picture: Tensor, title: str = "") -> None:
    """A picture (3, height, width) in 0 … 1 without axes."""
    axes.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy())
    axes.set_axis_off()
    axes.set_title(title, fontsize=9, fontweight="normal", loc="center")


@styled
def draw_reconstruction(model: AIMv2, images: Tensor, prefix_length: int, scene: int = 0) -> Figure:
    """One of the normalised images (B, 3, size, size), its reconstruction behind a prefix, and each patch's error."""
    encoder, data = model.recipe.encoder, model.recipe.data
    image = images[scene : scene + 1]
    drawn = reconstruct(model, image, prefix_length)
    errors = prediction_errors(model, image, prefix_length)[0]
    figure, (true, predicted, error) = plt.subplots(1, 3, figsize=(WIDTH, 3.5), width_ratios=(1, 1, 1.12))
    show_picture(true, denormalise(image, data)[0], "the picture")
    show_picture(predicted, denormalise(drawn, data)[0], "predicted behind the green line")
    for axes in (true, predicted):
        outline_prefix(axes, prefix_length, encoder.grid_size, encoder.patch_size)
    _show_errors(error, errors.reshape(encoder.grid_size, -1))
    mean = errors[prefix_length:].mean().item()
    figure.suptitle(
        f"{prefix_length} of {encoder.patches} patches given: the others cost {mean:.2f} (a blank guess: 1)\n"
        "Every patch is drawn with its true mean and deviation, which the model does not predict",
        fontsize=10,
    )
    return figure


def _show_errors(axes: Axes, errors: Tensor) -> None:
    """Squared errors (rows, columns), NaN for what was given."""
    axes.set_facecolor(tint(PREFIX, 0.25))
    shown = axes.imshow(errors.numpy(), cmap=colour_scale(WRONG), vmin=0, vmax=1.5)
    for (row, column), value in np.ndenumerate(errors.numpy()):
        text = "given" if np.isnan(value) else f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if value > 0.9 else TRUE)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title("squared error of each patch", fontsize=9, fontweight="normal", loc="center")
    axes.figure.colorbar(shown, ax=axes, shrink=0.7)


@styled
def draw_errors_by_kind(errors: Mapping[int, Sequence[float]], floor: float) -> Figure:
    """Mean error of every kind of patch (`patch_kinds.KINDS`) by prefix length, over the ground's noise floor."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    for place, (kind, colour) in enumerate(KIND_COLOURS.items()):
        axes.plot(list(errors), [means[place] for means in errors.values()], color=colour, marker="o", label=kind)
    axes.axhline(1, color=TRUE, linewidth=1, linestyle="--", label="a blank guess")
    axes.axhline(floor, color=NEUTRAL, linewidth=1, linestyle=":", label="ground: sensor noise alone")
    axes.set(xlabel="prefix length", ylabel="squared error per value", ylim=(0, 1.1), xticks=list(errors))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    ground, goes_on, begins = next(iter(errors.values()))
    title = f"Prefix {next(iter(errors))}: an object that goes on costs {goes_on:.2f}, one that begins {begins:.2f}"
    axes.set_title(f"{title}, bare ground {ground:.2f}")
    return figure


@styled
def draw_contributions(picture: Tensor, words: Sequence[str], nats: Tensor) -> Figure:
    """A picture (3, height, width) in 0 … 1, and what it contributed to every word of its caption."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 0.6 + 0.27 * len(words)), width_ratios=(1, 2.2))
    show_picture(left, picture)
    values = nats[: len(words)].tolist()
    right.barh(range(len(words)), values, color=[TEXT if value >= 0 else WRONG for value in values])
    right.axvline(0, color=TRUE, linewidth=0.8)
    right.set_yticks(range(len(words)), words)
    right.invert_yaxis()
    right.set_xlabel("nats that the right picture adds")
    best = max(range(len(words)), key=values.__getitem__)
    right.set_title(f"“{words[best]}” owes most to the picture: {values[best]:.2f} of {sum(values):.2f} nats")
    return figure


@styled
def draw_contribution_kinds(nats: Mapping[str, Tensor]) -> Figure:
    """The mean contribution of the picture by kind of word, with two standard errors."""
    means = {kind: values.mean().item() for kind, values in nats.items()}
    figure, axes = plt.subplots(figsize=(WIDTH, 3.0))
    for row, (kind, values) in enumerate(nats.items()):
        error = 2 * values.std().item() / len(values) ** 0.5 if len(values) > 1 else 0.0
        axes.barh(row, means[kind], xerr=error, color=TEXT, error_kw={"elinewidth": 1.2, "ecolor": TRUE})
        axes.text(
            max(means[kind], 0) + error + 0.03, row, f"{two_places(means[kind])}  ({len(values)} words)", va="center"
        )
    axes.axvline(0, color=TRUE, linewidth=0.8)
    axes.set_yticks(range(len(nats)), list(nats))
    axes.invert_yaxis()
    axes.set(xlabel="nats per word that the right picture adds", xlim=(None, 1.35 * max(means.values())))
    most, least = max(means, key=means.__getitem__), min(means, key=lambda kind: abs(means[kind]))
    worth = f"{two_places(means[most])} nats to a {most} word, {two_places(means[least])} to a {least}"
    axes.set_title(f"The picture is worth {worth}")
    return figure


def two_places(value: float) -> str:
    """The number with two decimals, and no minus before zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def draw_grouped_shares(
    axes: Axes, shares: Mapping[str, Mapping[str, float]], chance: Mapping[str, float], colours: Sequence[str]
) -> None:
    """Bars of {series: {group: share}}, side by side in each group, with a dotted line at each group's chance."""
    width = 0.84 / len(shares)
    for place, ((name, found), colour) in enumerate(zip(shares.items(), colours, strict=False)):
        left = [x + (place - (len(shares) - 1) / 2) * width for x in range(len(chance))]
        heights = [found[group] for group in chance]
        axes.bar(left, heights, width * 0.94, color=colour, label=name)
        for x, height in zip(left, heights, strict=True):
            axes.text(x, height + 0.01, f"{height:.2f}", ha="center", fontsize=8)
    for x, level in enumerate(chance.values()):
        label = "chance" if x == 0 else None
        axes.plot([x - 0.44, x + 0.44], [level] * 2, color=TRUE, linestyle=":", linewidth=1.4, label=label)
    axes.set_xticks(range(len(chance)), list(chance))
    axes.set_ylim(0, 1.24)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.legend(loc="upper center", ncols=len(shares) + 1)
