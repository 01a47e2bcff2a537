"""Probing, drawn: pooling by hand, the grid, three probes with their controls, factors, layers, and a lucky choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.evaluation.probing.factors import FACTORS, GROUPS, group_scores
from aimv2_lab.evaluation.probing.opening import HELD_OUT, SEEN
from aimv2_lab.evaluation.probing.results import TaskScores
from aimv2_lab.report.inside_figures import draw_grouped_shares, show_picture
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, colour_scale, styled

TRAINED, UNTRAINED = IMAGE, NEUTRAL
ENCODERS = {"trained": TRAINED, "untrained": UNTRAINED}
# Two pictures of four patches: what is large (1), small (-1) or ground (0); circle (1), cross (-1) or neither (0).
LARGE_CIRCLE = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]])
LARGE_CROSS = torch.tensor([[0.0, 0.0], [1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]])


@styled
def draw_pooling(sharpness: float) -> Figure:
    """How a query (sharpness, 0) pools two pictures of equal means: the weights it gives their patches, and where the
    pooled vectors lie."""
    query = torch.tensor([float(sharpness), 0.0])
    figure, panels = plt.subplots(1, 3, figsize=(WIDTH, 3.1), width_ratios=(1, 1, 1.5))
    pooled = []
    pictures = {"large circle, small cross": LARGE_CIRCLE, "large cross, small circle": LARGE_CROSS}
    for axes, (name, picture), colour in zip(panels, pictures.items(), (IMAGE, TEXT), strict=False):
        weights = (picture @ query / 2**0.5).softmax(dim=0)
        pooled.append(weights @ picture)
        _draw_weights(axes, weights.view(2, 2), colour)
        for patch, word in enumerate(_words(picture)):
            axes.text(patch % 2, patch // 2 + 0.28, word, ha="center", va="center", fontsize=8)
        axes.set_title(name, fontsize=9, fontweight="normal", loc="center")
        panels[2].plot(*pooled[-1].tolist(), "o", color=colour, markersize=11, label=name, alpha=0.75)
    panels[2].axhline(0, color=TRUE, linewidth=0.8, linestyle=":")
    panels[2].set(xlim=(-0.2, 1.1), ylim=(-1.1, 1.1), xlabel="how large", ylabel="cross … circle")
    panels[2].set_title("the pooled vectors", fontsize=9, fontweight="normal", loc="center")
    apart = (pooled[0] - pooled[1]).norm().item()
    said = "the mean, the same for both" if apart < 0.005 else f"the two pictures are {apart:.2f} apart"
    figure.suptitle(f"Query ({sharpness:g}, 0): {said}")
    return figure


def _words(picture: Tensor) -> list[str]:
    sizes, shapes = {0: "ground", 1: "large", -1: "small"}, {0: "", 1: "circle", -1: "cross"}
    return [f"{sizes[int(size)]}\n{shapes[int(shape)]}".strip() for size, shape in picture.tolist()]


def _draw_weights(axes: Axes, weights: Tensor, colour: str) -> None:
    """Weights (rows, columns) of patches, in a scale from none to all."""
    axes.imshow(weights.numpy(), cmap=colour_scale(colour), vmin=0, vmax=1.3)
    for (row, column), weight in np.ndenumerate(weights.numpy()):
        axes.text(column, row - 0.2, f"{weight:.2f}", ha="center", va="center", fontweight="bold")
    axes.set_axis_off()


@styled
def draw_grid(cells: Sequence[tuple[float, float]], held_out: Sequence[float], published: Sequence[float]) -> Figure:
    """The held-out score of every cell (rate, decay); the band marks the rates of the published grid."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2))
    axes.axvspan(min(published), max(published), color=FAINT, label="the rates of Table A2")
    for place, decay in enumerate(sorted({decay for _, decay in cells})):
        points = [(rate, score) for (rate, own), score in zip(cells, held_out, strict=True) if own == decay]
        line = axes.plot(*np.transpose(points), ("o-", "o--")[place], markersize=4, label=f"decay {decay:g}")
        line[0].set_color((IMAGE, TEXT)[place])
    best = int(np.argmax(held_out))
    (rate, decay), score = cells[best], held_out[best]
    axes.plot(rate, score, "o", markersize=13, markerfacecolor="none", color=WRONG, label="chosen")
    axes.set(xscale="log", xlabel="peak learning rate", ylabel="right on pictures held out", ylim=(0, 1))
    axes.legend(loc="lower right")
    worst = min(held_out)
    axes.set_title(f"One encoder, from {worst:.2f} to {score:.2f}: the rate decides, the decay does not")
    return figure


@styled
def draw_three_probes(found: Mapping[str, Mapping[str, Mapping[str, float]]], chance: Mapping[str, float]) -> Figure:
    """Test scores {factor: {encoder: {probe: score}}}, one panel a factor, over the most frequent class's share.

    The title says what training is worth to every probe on the last factor.
    """
    figure, panels = plt.subplots(
        1, len(found), figsize=(WIDTH * (0.35 + 0.4 * len(found)), 3.5), sharey=True, squeeze=False
    )
    for axes, (factor, scores) in zip(panels[0], found.items(), strict=True):
        probes = dict.fromkeys(next(iter(scores.values())), chance[factor])
        draw_grouped_shares(axes, scores, probes, list(ENCODERS.values()))
        axes.set_title(factor, fontsize=10, fontweight="normal")
    panels[0, 0].set_ylabel("right on test pictures")
    last = found[factor]
    worth = [f"{100 * (last['trained'][p] - last['untrained'][p]):+.0f} ({p})" for p in last["trained"]]
    figure.suptitle(f"{factor.capitalize()}: training adds {', '.join(worth)} points", fontsize=11)
    return figure


@styled
def draw_probe_attention(
    weights: Tensor, pictures: Tensor, said: Sequence[str], true: Sequence[str], scene: int, head: int
) -> Figure:
    """One of the pictures (N, 3, size, size) in 0 … 1, and what one head of a probe takes from its patches, from
    weights (N, heads, I)."""
    side = round(weights.shape[-1] ** 0.5)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH * 0.7, 3.2))
    show_picture(left, pictures[scene], f"the large object is a {true[scene]}")
    taken = weights[scene, head]
    show_picture(right, pictures[scene], f"head {head} takes")
    size = pictures.shape[-1]
    right.imshow(
        taken.view(side, side).numpy(), cmap=colour_scale(PREFIX), vmin=0, vmax=0.8, alpha=0.75,
        extent=(-0.5, size - 0.5, size - 0.5, -0.5),
    )  # fmt: skip
    for patch, weight in enumerate(taken.tolist()):
        centre = ((patch % side + 0.5) * size / side - 0.5, (patch // side + 0.5) * size / side - 0.5)
        right.text(*centre, f"{weight:.2f}", ha="center", va="center", fontsize=8)
    verdict = "right" if said[scene] == true[scene] else "wrong"
    figure.suptitle(f"Scene {scene}: the probe says “{said[scene]}”, which is {verdict}")
    return figure


@styled
def draw_factors(found: Mapping[str, Sequence[TaskScores]]) -> Figure:
    """Scores of every factor for {encoder: tasks}, with 95% intervals over seeds: familiar combinations and new ones.

    A tick is the share of the most frequent class. The title names the factor to which training adds most, and its
    score on new combinations.
    """
    order = [factor for group in GROUPS for factor in FACTORS if factor.group == group]
    tasks = {name: {task.name: task for task in scores} for name, scores in found.items()}
    factors = [factor for factor in order if factor.name in tasks["trained"]]
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH * 1.1, 0.36 * len(factors) + 1.5), sharey=True)
    for axes, test in zip(panels, (SEEN, HELD_OUT), strict=True):
        for row, factor in enumerate(factors):
            chance = tasks["trained"][factor.name].chance[test]
            axes.plot([chance] * 2, [row - 0.35, row + 0.35], color=TRUE, linewidth=1.4)
            for name, offset in (("trained", -0.12), ("untrained", 0.12)):
                score = tasks[name][factor.name].by_test[test]["top1"]
                label = name if row == 0 else None
                axes.errorbar(score.mean, row + offset, xerr=score.reach, fmt="o", color=ENCODERS[name], label=label)
        axes.set(xlim=(0, 1.03), xlabel="right (tick: the most frequent class)")
        axes.set_title(test, fontsize=10, fontweight="normal")
        axes.grid(axis="y", color=FAINT)
    panels[0].set_yticks(range(len(factors)), [f"{factor.name}  {factor.group}" for factor in factors])
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    gains = {factor.name: _gain(tasks, factor.name) for factor in factors}
    most = max(gains, key=gains.__getitem__)
    there = tasks["trained"][most].by_test
    familiar, new = (there[test]["top1"].mean for test in (SEEN, HELD_OUT))
    figure.suptitle(
        f"Training adds most to “{most}”: {100 * gains[most]:+.0f} points, to {familiar:.2f}; new pairs: {new:.2f}",
        fontsize=11,
    )
    return figure


def _gain(tasks: Mapping[str, Mapping[str, TaskScores]], factor: str) -> float:
    trained, untrained = (tasks[name][factor].by_test[SEEN]["top1"].mean for name in ENCODERS)
    return trained - untrained


@styled
def draw_layers(found: Mapping[str, Sequence[Sequence[TaskScores]]]) -> Figure:
    """The mean score of every group of factors by layer, for {encoder: tasks by layer}, with 95% intervals over seeds.

    The title says what every group gains in the trained encoder from the first layer to the last.
    """
    groups = {name: [group_scores(tasks, SEEN) for tasks in layers] for name, layers in found.items()}
    first, last = groups["trained"][0], groups["trained"][-1]
    names = [name for name in first if name != "mean"]
    figure, panels = plt.subplots(1, len(names), figsize=(WIDTH * 1.1, 3.2), sharey=True)
    for axes, group in zip(panels, names, strict=True):
        for name, colour in ENCODERS.items():
            scores = [layer[group] for layer in groups[name]]
            reaches = [score.reach or 0.0 for score in scores]
            axes.errorbar(range(len(scores)), [s.mean for s in scores], reaches, marker="o", color=colour, label=name)
        axes.set(xticks=range(len(scores)), xlabel="layer", ylim=(0.2, 1.02))
        axes.set_title(f"{group}: {100 * (last[group].mean - first[group].mean):+.0f} points", fontsize=10)
    panels[0].set_ylabel("right on test pictures")
    panels[0].legend(loc="lower right")
    gains = {name: last[name].mean - first[name].mean for name in names}
    most, least = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    figure.suptitle(f"From the first layer to the last, trained: {most} gains most, {least} least")
    return figure


@styled
def draw_lucky_choice(
    sizes: Sequence[int], hasty: Mapping[str, Sequence[float]], honest: Mapping[str, Sequence[float]]
) -> Figure:
    """Mean scores by the number of test pictures, one panel for each kind of cells: the best cell on the test pictures,
    and the best on others."""
    figure, panels = plt.subplots(1, len(hasty), figsize=(WIDTH, 3.2), squeeze=False)
    for axes, name in zip(panels[0], hasty, strict=True):
        axes.plot(sizes, hasty[name], "s--", color=WRONG, label="chosen on the test pictures")
        axes.plot(sizes, honest[name], "o-", color=PREFIX, label="chosen on other pictures")
        middle = honest[name][-1]
        axes.set(xscale="log", xlabel="test pictures", ylim=(middle - 0.04, min(middle + 0.14, 1.02)))
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.set_title(name, fontsize=10, fontweight="normal")
    panels[0, 0].set_ylabel("mean score reported")
    panels[0, 0].legend()
    gifts = [f"{100 * (hasty[name][0] - honest[name][0]):.0f} points to {name}" for name in hasty]
    figure.suptitle(f"Choosing on {sizes[0]} test pictures gives {', '.join(gifts)}")
    return figure
