"""The parts of the encoder, drawn: norms, attention's divisor, positions, residual stream, weights, mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional

from aimv2_lab.evaluation.components import fit_components
from aimv2_lab.report.style import IMAGE, NEUTRAL, TRUE, WIDTH, WRONG, colour_scale, styled, tint


@styled
def draw_norms(token: Tensor, outputs: Mapping[str, Tensor], sizes: Tensor, by_eps: Mapping[str, Tensor]) -> Figure:
    """What two norms do to the values of one token (D,), and how large RMSNorm's output is for tokens of any size.

    `outputs` holds norm -> (D,); `by_eps` label -> output sizes, one for every input size in `sizes`.
    """
    figure, (values, scales) = plt.subplots(1, 2, figsize=(WIDTH, 3.4))
    order = token.argsort()
    for (name, output), colour in zip(outputs.items(), (IMAGE, WRONG), strict=True):
        values.plot(token[order], output[order], ".-", color=colour, label=name, linewidth=1)
    values.axline((0, 0), slope=0, color=NEUTRAL, linewidth=0.8, zorder=0)
    values.axvline(0, color=NEUTRAL, linewidth=0.8, zorder=0)
    values.set(xlabel="value of the token", ylabel="after the norm")
    values.set_title("RMSNorm keeps zero at zero;\nLayerNorm moves the mean there")
    for (name, curve), colour, line in zip(by_eps.items(), (IMAGE, WRONG), ("-", "--"), strict=True):
        scales.loglog(sizes, curve, line, color=colour, label=name)
    scales.set(xlabel="size (root mean square) of the token", ylabel="size after RMSNorm")
    scales.set_title("ε shows only where the token\nis almost zero")
    values.legend()
    scales.legend()
    return figure


@styled
def draw_largest_shares(head_widths: Sequence[int], largest: Mapping[str, Sequence[float]]) -> Figure:
    """The largest attention weight of a query over 256 keys, by head width: label -> one value per head width."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.75, 3.2))
    for (name, curve), colour in zip(largest.items(), (WRONG, IMAGE), strict=True):
        axes.plot(head_widths, curve, "o-", color=colour)
        axes.annotate(name, (head_widths[-1], curve[-1]), (0, 8), textcoords="offset points", ha="right", color=colour)
    axes.set_xscale("log", base=2)
    axes.set_xticks(head_widths, [str(width) for width in head_widths])
    axes.set(xlabel="head width", ylabel="share of the most attended key", ylim=(0, 1))
    axes.set_title("Without the divisor, wide heads pick one key instead of mixing")
    return figure


@styled
def draw_position_similarity(tables: Mapping[str, Tensor], patch: int, columns: int) -> Figure:
    """Cosine similarity of one patch's position to all others', a map for every table (I, D) by its label.

    Raises ValueError for a patch outside the tables.
    """
    patches = min(len(table) for table in tables.values())
    if not 0 <= patch < patches:
        raise ValueError(f"patch {patch} lies outside 0 … {patches - 1}")
    figure, panels = plt.subplots(1, len(tables), figsize=(WIDTH, 3.9), squeeze=False)
    row, column = divmod(patch, columns)
    for axes, (name, table) in zip(panels[0], tables.items(), strict=True):
        similarity = functional.cosine_similarity(table[patch : patch + 1], table)
        others = torch.cat([similarity[:patch], similarity[patch + 1 :]])
        drawn = axes.imshow(
            similarity.view(-1, columns).numpy(), cmap=colour_scale(IMAGE), vmin=others.min().item(), vmax=1
        )
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=TRUE, linewidth=2))
        axes.set(xlabel="column x", ylabel="row y")
        axes.set_title(f"{name}\n(others {others.min():.2f} … {others.max():.2f})".replace("-0", "−0"), fontsize=10)
        figure.colorbar(drawn, ax=axes, shrink=0.8, label="cosine similarity")
    figure.suptitle(f"Patch in row {row}, column {column}: the formula knows the grid, a new table does not")
    return figure


@styled
def draw_stream_growth(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Root mean square of the residual stream by block: label -> values, the first before block 1.

    A curve ends with a cross where its values stop being finite.
    """
    figure, (both, growing) = plt.subplots(1, 2, figsize=(WIDTH * 1.1, 3.6))
    for (name, curve), colour in zip(curves.items(), (IMAGE, tint(IMAGE, 0.5), WRONG), strict=True):
        finite = [size for size in curve if math.isfinite(size)]
        both.semilogy(finite, color=colour)
        if len(finite) < len(curve):
            last = (len(finite) - 1, finite[-1])
            both.plot(*last, "x", color=colour, markersize=10, markeredgewidth=2.5)
            note = f"{name}:\noverflow in block {len(finite)}"
            both.annotate(note, last, (10, -8), textcoords="offset points", color=colour, va="top")
        else:
            growing.plot(curve, color=colour, label=name)
            like_root = [curve[-1] * (i / (len(curve) - 1)) ** 0.5 for i in range(len(curve))]
            growing.plot(like_root, ":", color=TRUE, linewidth=1.2, zorder=0)
    both.set(xlabel="blocks passed", ylabel="size of the stream (log scale)", ylim=(0.1, 1e39))
    both.set_title("Without norms the stream explodes;\nwith norms it does not")
    growing.set(xlabel="blocks passed", ylabel="size of the stream")
    growing.set_title("With norms it grows roughly like\nthe root of the depth (dotted)")
    growing.legend()
    return figure


@styled
def draw_parameter_shares(parts_by_size: Mapping[str, Mapping[str, int]]) -> Figure:
    """Where the weights of each encoder sit, as shares of one bar: size -> part -> parameters.

    The parts `attention` and `feed_forward` are drawn; all others are summed up.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
    drawn = (("attention", "attention", IMAGE, "white"), ("feed_forward", "SwiGLU", tint(IMAGE, 0.4), TRUE))
    for row, parts in enumerate(parts_by_size.values()):
        total, left = sum(parts.values()), 0.0
        for part, name, colour, ink in drawn:
            share = 100 * parts[part] / total
            axes.barh(row, share, left=left, color=colour)
            axes.text(left + share / 2, row, f"{name} {share:.1f} %", ha="center", va="center", color=ink)
            left += share
        axes.barh(row, 100 - left, left=left, color=TRUE)
        axes.text(101, row, f"all else {100 - left:.2f} %\nof {total / 1e6:,.0f} M", va="center", fontsize=9)
    axes.set_yticks(range(len(parts_by_size)), list(parts_by_size))
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.set(xlim=(0, 115), xticks=range(0, 101, 25), xlabel="share of the parameters, %")
    axes.set_title("Two thirds of the weights are SwiGLU's, at every size")
    return figure


@styled
def draw_mistakes(differences: Mapping[str, Mapping[str, float]], tolerance: float) -> Figure:
    """How far each mistake moves the output, a bar per kind of weights: kind -> mistake -> relative difference."""
    kinds, mistakes = list(differences), list(next(iter(differences.values())))
    figure, axes = plt.subplots(figsize=(WIDTH, 0.42 * len(mistakes) + 1.2))
    floor = 1e-8
    for shift, kind, colour in zip((-0.2, 0.2), kinds, (NEUTRAL, IMAGE), strict=True):
        heights = [max(differences[kind][mistake], floor) for mistake in mistakes]
        axes.barh([row + shift for row in range(len(mistakes))], heights, height=0.38, color=colour, label=kind)
    axes.set_xscale("log")
    axes.set(xlim=(floor, 10), xlabel="largest difference ÷ largest value (log scale)")
    _mark_tolerance(axes, tolerance)
    axes.set_yticks(range(len(mistakes)), mistakes)
    axes.invert_yaxis()
    axes.set_title(f"{kinds[0].capitalize()} hide mistakes that {kinds[1]} show")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    return figure


def _mark_tolerance(axes: Axes, tolerance: float) -> None:
    """The line that a comparison draws: bars that end left of it pass the test."""
    axes.axvline(tolerance, color=TRUE, linestyle="--", linewidth=1)
    axes.axvspan(axes.get_xlim()[0], tolerance, color=NEUTRAL, alpha=0.2, zorder=0, linewidth=0)
    place = (tolerance, 1.0)
    axes.annotate(
        "passes the test",
        place,
        (-4, -10),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )


@styled
def draw_patch_components(picture: Tensor, dense: Tensor) -> Figure:
    """A picture (3, height, width) in 0 … 1, and its features (rows, columns, D): their first three principal
    components as red, green and blue, each from its lowest to its highest value."""
    components = fit_components(dense)
    found = components.project(dense)
    lowest, highest = found.amin(dim=(0, 1)), found.amax(dim=(0, 1))
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, WIDTH / 2))
    left.imshow(picture.permute(1, 2, 0).numpy())
    right.imshow(((found - lowest) / (highest - lowest)).numpy())
    left.set_title("what the encoder is shown")
    right.set_title(f"three components, {components.shares.sum():.0%} of the variance")
    for axes in (left, right):
        axes.set_axis_off()
    return figure
