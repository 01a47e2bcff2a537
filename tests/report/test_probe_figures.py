"""The figure of a probing shows the scores, their intervals, and the grid."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from aimv2_lab.evaluation.probing.results import TaskScores
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.recipes.probing import ProbeRecipe
from aimv2_lab.report.probe_figures import draw_probe

RECIPE = ProbeRecipe(learning_rates=(1e-3, 1e-2), weight_decays=(0.0, 0.1))


def task(name: str, score: float, grid: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)) -> TaskScores:
    by_test = {test: {"top1": Interval.of([score, score + 0.1])} for test in ("seen", "held out")}
    return TaskScores(name, 2, by_test, {"seen": 0.5, "held out": 0.6}, (), (grid,) if grid else ())  # type: ignore[arg-type]


def test_bars_are_the_scores_and_lines_the_grid() -> None:
    figure = draw_probe([task("colour", 0.6), task("shape", 0.7)], RECIPE, "probe")
    scores, grid = figure.axes
    assert [bar.get_width() for bar in scores.patches if isinstance(bar, Rectangle)] == pytest.approx([0.65, 0.75] * 2)
    assert [label.get_text() for label in scores.get_yticklabels()] == ["colour", "shape"]
    assert [np.asarray(line.get_ydata()).tolist() for line in grid.lines] == [
        pytest.approx([0.1, 0.3]),
        pytest.approx([0.2, 0.4]),
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seen", "held out"]
    plt.close(figure)


def test_without_a_grid_there_are_bars_alone() -> None:
    figure = draw_probe([task("colour", 0.6, grid=())], RECIPE, "probe")
    assert len(figure.axes) == 1
    plt.close(figure)
