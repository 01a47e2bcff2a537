"""The scaling figures show the grid's numbers, and the correlation is that of the cells."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from aimv2_lab.evaluation.probing.opening import SEEN
from aimv2_lab.evaluation.scaling.cells import CELLS
from aimv2_lab.evaluation.scaling.findings import (
    budgets_of,
    compute_finding,
    equal_compute,
    law_finding,
    law_of,
    points_of,
    probe_finding,
    rank_correlation,
)
from aimv2_lab.report.scaling_figures import draw_equal_compute, draw_law, draw_loss_and_probe


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


def test_findings_are_read_off_the_law() -> None:
    """At the grid's middle the terms of the known law are what they are, and so is what doubling takes off them."""
    points = points_of(study())
    law = law_of(points)
    n, d = 2.0 * law.unit_n**-0.2, 60 * law.unit_d**-0.6
    loss = 0.4 + n + d + 0.002
    worth = [float(part.split("%")[0]) / 100 for part in law_finding(points).split(" by ")[1:]]
    assert worth == pytest.approx([d * (1 - 2**-0.6) / loss, n * (1 - 2**-0.2) / loss], abs=3e-3)
    assert "-1.00" in probe_finding(points) and "is a better probe" in probe_finding(points)
    assert "does not tell" in probe_finding(points_of(study(score_falls=True)))


def test_the_best_size_at_equal_compute_is_the_laws() -> None:
    points = points_of(study())
    for budget in budgets_of(points):
        found = equal_compute(points, budget)
        assert found.losses[found.best] == found.losses.min()
        assert found.at_an_edge == (found.best in (0, len(found.losses) - 1))
    assert compute_finding(points).count("TFLOP") == 2


def test_figures_draw_every_size() -> None:
    points = points_of(study())
    said = {draw_law: law_finding, draw_equal_compute: compute_finding, draw_loss_and_probe: probe_finding}
    for draw, finding in said.items():
        figure = draw(points)
        assert figure.axes[0].get_title(loc="left") == finding(points)
        assert len(figure.legends[0].get_texts()) == 4
        plt.close(figure)
    lines = draw_equal_compute(points).axes[0].lines
    best = [np.asarray(line.get_xdata()).item() for line in lines if line.get_marker() == "v"]
    assert len(best) == 4
    assert best == sorted(best)  # more compute, larger encoder
    plt.close("all")
