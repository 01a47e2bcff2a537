"""The figures of notebook 10 draw the numbers they are given, and their titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from aimv2_lab.evaluation.probing.opening import HELD_OUT, SEEN
from aimv2_lab.evaluation.probing.results import TaskScores
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.report import probing_figures as figures


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def title(figure: Figure) -> str:
    return figure.get_suptitle()


def task(name: str, seen: float, new: float) -> TaskScores:
    by_test = {test: {"top1": Interval.of([score, score])} for test, score in ((SEEN, seen), (HELD_OUT, new))}
    return TaskScores(name, 2, by_test, {SEEN: 0.5, HELD_OUT: 0.5}, (), ())  # type: ignore[arg-type]


def tasks(hue: float, shape: float, new: float = 0.2) -> list[TaskScores]:
    return [task("ground hue", hue, hue), task("large object, shape", shape, new)]


def test_pooling_without_a_question_is_the_mean_and_a_sharp_one_tells_apart() -> None:
    assert torch.equal(figures.LARGE_CIRCLE.mean(0), figures.LARGE_CROSS.mean(0))
    assert title(figures.draw_pooling(0)).endswith("the mean, the same for both")
    sharp = figures.draw_pooling(6.0)
    ends = [np.concatenate(line.get_data()) for line in sharp.axes[2].lines[:2]]
    assert np.linalg.norm(ends[0] - ends[1]) > 1.5 and "apart" in title(sharp)


def test_the_grid_marks_the_best_cell() -> None:
    cells = [(1e-3, 0.05), (1e-3, 0.1), (1e-2, 0.05), (1e-2, 0.1)]
    axes = figures.draw_grid(cells, [0.3, 0.4, 0.9, 0.8], published=(1e-3, 2e-3)).axes[0]
    assert axes.lines[2].get_xdata() == [1e-2] and axes.lines[2].get_ydata() == [0.9]
    assert "0.30" in axes.get_title("left") and "0.90" in axes.get_title("left")


def test_probes_stand_beside_each_other_and_the_title_says_what_training_is_worth() -> None:
    scores = {"trained": {"linear": 0.6, "attentive": 0.9}, "untrained": {"linear": 0.7, "attentive": 0.5}}
    figure = figures.draw_three_probes({"shape": scores}, {"shape": 0.2})
    assert title(figure) == "Shape: training adds -10 (linear), +40 (attentive) points"
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.6, 0.9, 0.7, 0.5]  # type: ignore[attr-defined]


def test_a_head_is_drawn_over_its_scene_and_the_verdict_follows() -> None:
    weights = torch.zeros(2, 3, 4)
    weights[1, 2, 3] = 1.0
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    figure = figures.draw_probe_attention(weights, pictures, ["bar", "bar"], ["bar", "cross"], scene=1, head=2)
    assert [text.get_text() for text in figure.axes[1].texts] == ["0.00"] * 3 + ["1.00"]
    assert title(figure) == "Scene 1: the probe says “bar”, which is wrong"


def test_factors_are_drawn_for_both_encoders_and_both_kinds_of_scenes() -> None:
    figure = figures.draw_factors({"trained": tasks(0.8, 0.9, new=0.3), "untrained": tasks(0.7, 0.5)})
    for axes, places in zip(figure.axes, ([0.8, 0.7, 0.9, 0.5], [0.8, 0.7, 0.3, 0.2]), strict=True):
        drawn = [container.lines[0].get_xdata()[0] for container in axes.containers]  # type: ignore[attr-defined]
        assert drawn == pytest.approx(places)
    assert title(figure) == "Training adds most to “large object, shape”: +40 points, to 0.90; new pairs: 0.30"


def test_layers_are_drawn_by_group() -> None:
    layers = {"trained": [tasks(0.5, 0.3), tasks(0.6, 0.9)], "untrained": [tasks(0.5, 0.3), tasks(0.4, 0.3)]}
    figure = figures.draw_layers(layers)
    assert [axes.get_title("left") for axes in figure.axes] == ["P: +10 points", "PT: +60 points"]
    assert title(figure).endswith("PT gains most, P least")


def test_a_lucky_choice_is_compared_with_an_honest_one() -> None:
    figure = figures.draw_lucky_choice((50, 100), {"dice": [0.3, 0.25]}, {"dice": [0.2, 0.2]})
    hasty, honest = figure.axes[0].lines
    assert np.array_equal(hasty.get_ydata(), [0.3, 0.25]) and np.array_equal(honest.get_ydata(), [0.2, 0.2])
    assert title(figure) == "Choosing on 50 test pictures gives 10 points to dice"
