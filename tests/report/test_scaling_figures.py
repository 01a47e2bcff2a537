"""The scaling figures show the grid's numbers, and the correlation is that of the cells."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from aimv2_lab.evaluation.probing.opening import SEEN
from aimv2_lab.evaluation.scaling.cells import CELLS
from aimv2_lab.report.scaling_figures import (
    draw_equal_compute,
    draw_law,
    draw_loss_and_probe,
    law_of,
    points_of,
    rank_correlation,
)


def study(score_falls: bool = False) -> list[dict[str, Any]]:
    """Losses of a known law, and a score that rises or falls as the loss falls."""
    values = []
    for name, cell in CELLS.items():
        for seed in (1, 2, 3):
            loss = 0.4 + 2.0 * cell.parameters**-0.2 + 60 * cell.samples**-0.6 + 0.001 * seed
            score = loss if score_falls else 1 - loss
            scores = {"attentive": {SEEN: {"ground hue": score, "large object, mark": score}}}
            about = {"size": cell.size, "parameters": cell.parameters, "samples": cell.samples, "flops": cell.flops}
            values.append({"variant": name, "seed": seed, "losses": {"total": loss}, "scores": scores, **about})
    return values


def test_points_hold_every_cell_once_with_its_seeds() -> None:
    points = points_of(study())
    assert len(points) == 16 and all(len(point.losses) == len(point.scores) == 3 for point in points)
    assert [(p.parameters, p.samples) for p in points] == sorted((p.parameters, p.samples) for p in points)
    assert points[0].scores[0] == pytest.approx(1 - points[0].losses[0])


def test_the_law_of_the_points_is_found() -> None:
    law = law_of(points_of(study()))
    assert (law.a_power, law.b_power) == pytest.approx((0.2, 0.6), abs=0.05)
    assert law.error < 2e-3


def test_the_correlation_has_the_sign_of_the_relation() -> None:
    assert rank_correlation(points_of(study())) == pytest.approx(-1)
    assert rank_correlation(points_of(study(score_falls=True))) == pytest.approx(1)


def test_figures_draw_every_size() -> None:
    points = points_of(study())
    for draw in (draw_law, draw_equal_compute, draw_loss_and_probe):
        figure = draw(points, "a title")
        assert figure.axes[0].get_title(loc="left") == "a title"
        assert len(figure.legends[0].get_texts()) == 4
        plt.close(figure)
    lines = draw_equal_compute(points, "").axes[0].lines
    best = [np.asarray(line.get_xdata()).item() for line in lines if line.get_marker() == "v"]
    assert len(best) == 4
    assert best == sorted(best)  # more compute, larger encoder
    plt.close("all")
