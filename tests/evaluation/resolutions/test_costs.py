"""What a picture costs by area: measured in turn, and the model that is fitted to it."""

from __future__ import annotations

import pytest

from aimv2_lab.evaluation.resolutions.costs import MEASURED, SIDES, CostModel, counted, fitted, measured_costs
from aimv2_lab.recipes import recipe


def test_the_counted_flops_are_linear_and_quadratic() -> None:
    one, four = counted(MEASURED, 256), counted(MEASURED, 1024)
    assert four.linear == 4 * one.linear and four.quadratic == 16 * one.quadratic
    large = recipe("aimv2-large-native")
    assert counted(large, 1).linear == 24 * 2 * (4 * 1024**2 + 3 * 1024 * 2816)
    assert counted(large, 100).quadratic == 24 * 4 * 100**2 * 1024


def test_the_model_finds_the_rates_that_made_the_costs() -> None:
    true = CostModel(12.0, 30.0)
    costs = [{"area": side**2, "milliseconds": true.milliseconds(MEASURED, side**2)} for side in SIDES]
    assert fitted(costs) == pytest.approx(true)
    area = true.overtakes(MEASURED)
    parts = counted(MEASURED, 1)
    assert 12.0 * parts.linear * area == pytest.approx(30.0 * parts.quadratic * area**2)


def test_every_area_has_its_rounds_and_larger_pictures_cost_more() -> None:
    found = measured_costs(sides=(2, 8), rounds=3, slots=64)
    assert [one["area"] for one in found] == [4, 64]
    for one in found:
        assert len(one["rounds"]) == 3
        assert sorted(one["rounds"])[1] == one["milliseconds"] > 0
    assert found[1]["milliseconds"] > 2 * found[0]["milliseconds"]
