"""What a probing found, drawn: scores with their intervals against chance, and the grid that they were chosen from."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aimv2_lab.evaluation.probing.results import TaskScores
from aimv2_lab.recipes.probing import ProbeRecipe
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, styled

_TESTS = (IMAGE, TEXT, PREFIX, WRONG)


@styled
def draw_probe(tasks: Sequence[TaskScores], recipe: ProbeRecipe, title: str) -> Figure:
    """The top-1 of every task on every test set, with 95% intervals over seeds and a tick for saying always the most
    frequent class; where a grid was swept, beside it the held-out score of every rate and decay, the mean over all
    tasks and seeds."""
    swept = bool(tasks[0].grid) and len(recipe.cells) > 1
    height = 1.6 + 0.3 * len(tasks) * max(len(tasks[0].by_test), 2)
    figure, drawn = plt.subplots(
        1, 1 + swept, figsize=(WIDTH, height), width_ratios=[2, 1.4][: 1 + swept], squeeze=False
    )
    _draw_scores(drawn[0, 0], tasks)
    if swept:
        _draw_grid(drawn[0, 1], tasks, recipe)
    if len(tasks[0].by_test) > 1:
        figure.legend(*drawn[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=len(tasks[0].by_test))
    figure.suptitle(title)
    return figure


def _draw_scores(axes: Axes, tasks: Sequence[TaskScores]) -> None:
    tests = list(tasks[0].by_test)
    thickness, places = 0.8 / len(tests), np.arange(len(tasks))
    for number, (test, colour) in enumerate(zip(tests, _TESTS, strict=False)):
        found = [task.by_test[test]["top1"] for task in tasks]
        at = places + (number - (len(tests) - 1) / 2) * thickness
        reaches = [one.reach or 0.0 for one in found]
        axes.barh(at, [one.mean for one in found], thickness, xerr=reaches, color=colour, ecolor=TRUE, label=test)
        chances = [task.chance[test] for task in tasks]
        axes.vlines(chances, at - thickness / 2, at + thickness / 2, color=NEUTRAL, linewidth=3)
    axes.set_yticks(places, [task.name for task in tasks])
    axes.invert_yaxis()
    axes.set(xlabel="top-1 (grey: most frequent class)", xlim=(0, 1))


def _draw_grid(axes: Axes, tasks: Sequence[TaskScores], recipe: ProbeRecipe) -> None:
    held_out = np.mean([task.grid for task in tasks], axis=(0, 1))
    table = held_out.reshape(len(recipe.learning_rates), len(recipe.weight_decays))
    axes.set_facecolor(FAINT)
    for column, (decay, colour) in enumerate(zip(recipe.weight_decays, _TESTS, strict=False)):
        dash = "o--" if column % 2 else "o-"  # curves often lie on one another
        axes.plot(recipe.learning_rates, table[:, column], dash, color=colour, label=f"decay {decay:g}", markersize=4)
    axes.set(xscale="log", xlabel="peak rate", ylabel="held-out score")
    axes.set_title("the grid")
    axes.legend()
