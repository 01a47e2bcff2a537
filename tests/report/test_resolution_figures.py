"""The figures of the comparison of resolutions draw the runs they are given, and their titles follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from aimv2_lab.evaluation.resolutions.claims import CLAIMS, LONG
from aimv2_lab.evaluation.resolutions.comparing import Seen, score
from aimv2_lab.evaluation.resolutions.costs import MEASURED, SIDES, CostModel, fitted
from aimv2_lab.evaluation.resolutions.views import RATIOS
from aimv2_lab.report import resolution_figures as figures
from aimv2_lab.report.resolution_page import claims
from tests.evaluation.resolutions.made_up import fitting_readings, made_up_runs


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def changed(variant: str, more: float) -> list[dict[str, Any]]:
    """The made-up runs, with one variant's scores raised."""

    def raised(run: dict[str, Any]) -> dict[str, Any]:
        if run["variant"] != variant:
            return run
        scores = {
            view: {test: {name: value + more for name, value in found.items()} for test, found in tests.items()}
            for view, tests in run["scores"].items()
        }
        return {**run, "scores": scores}

    return [raised(run) for run in made_up_runs()]


def test_the_table_holds_ours_and_the_papers_and_counts_what_shows() -> None:
    runs = made_up_runs()
    figure = figures.draw_table_six(runs)
    ours, paper = ([text.get_text() for text in axes.texts] for axes in figure.axes)
    assert len(ours) == 9 and len(paper) == 7
    assert ours[0].startswith(f"{100 * score(runs, Seen('low-sincos-continued', 'low')).mean:.1f}\n±")
    assert paper == ["86.6", "84.8", "78.9", "87.9", "86.1", "87.1", "87.3"]
    title = figure.get_suptitle()
    assert title == "The 6 differences in the paper's table are here: 3 shown, 2 not shown, 1 reversed"
    assert figures.draw_table_six(changed("native", -0.1)).get_suptitle() != title


def test_ratios_are_drawn_for_three_encoders_and_the_title_is_the_longest() -> None:
    axes = figures.draw_by_ratio(made_up_runs()).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(RATIOS)
    assert len(axes.containers) == len(figures.SHOWN_BY_RATIO)
    native = axes.containers[2].lines[0].get_ydata()  # type: ignore[attr-defined]
    expected = [100 * score(made_up_runs(), Seen("native", "native"), test=test).mean for test in RATIOS]
    assert native == pytest.approx(expected)
    assert axes.get_title("left").startswith(f"Pictures of ratio {LONG}: native against squashed +")
    worse = figures.draw_by_ratio(changed("native", -0.2)).axes[0].get_title("left")
    assert worse.endswith("below") and "−" in worse


def test_ways_to_go_on_are_told_apart_where_the_runs_do() -> None:
    figure = figures.draw_going_on(made_up_runs())
    assert figure.get_suptitle() == "3 ways to go on otherwise: none is told apart from the default"
    assert next(text.get_text() for text in figure.axes[0].texts) == "default"
    assert "1 of them is told apart" in figures.draw_going_on(changed("high-decay", 0.1)).get_suptitle()


def test_costs_are_drawn_beside_their_model_and_the_title_says_where_attention_overtakes() -> None:
    true = CostModel(12.0, 30.0)
    costs = [
        {"area": side**2, "milliseconds": cost, "rounds": [cost, 1.1 * cost]}
        for side in SIDES
        if (cost := true.milliseconds(MEASURED, side**2))
    ]
    figure = figures.draw_costs(costs, fitted(costs), MEASURED)
    assert f"From {round(true.overtakes(MEASURED), -1):,.0f} patches" in figure.get_suptitle()
    assert figure.get_suptitle().endswith("errs by 0% at most")
    measured = next(line for line in figure.axes[0].lines if line.get_label() == "measured")
    assert np.asarray(measured.get_ydata()).tolist() == pytest.approx([one["milliseconds"] for one in costs])


@pytest.mark.parametrize("group", CLAIMS)
def test_every_claim_is_a_line_with_its_difference(group: str) -> None:
    runs = made_up_runs()
    lines = repr(claims(runs, group, fitting_readings(runs))).splitlines()
    assert len(lines) == len(CLAIMS[group])
    for line, (name, claim) in zip(lines, CLAIMS[group].items(), strict=True):
        assert line.startswith(f"- **{name}**: ")
        assert ("the paper" in line.split(", *")[0]) == (claim.stated is not None)
