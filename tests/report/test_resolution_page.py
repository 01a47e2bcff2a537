"""What notebook 12 says is what the stored runs say, and would be missed if they changed."""

from __future__ import annotations

from functools import cache

import pytest

from aimv2_lab.evaluation.resolutions.claims import CLAIMS, answered
from aimv2_lab.evaluation.resolutions.costs import MEASURED, SIDES, fitted
from aimv2_lab.evaluation.resolutions.toys import PROBED, SEEDS, TRAINED
from aimv2_lab.lessons.cards import NOTEBOOKS
from aimv2_lab.lessons.learned_table import RECIPE, stored_table
from aimv2_lab.lessons.notebooks import read
from aimv2_lab.report.resolution_page import claims
from aimv2_lab.report.stored import StoredResult, load_result

NOTEBOOK = NOTEBOOKS / "12_higher_and_native_resolution.ipynb"


@cache
def stored(name: str = "resolutions") -> StoredResult:
    return load_result(name)


def said() -> str:
    """All that the notebook's cells have put out as text."""
    cells = [cell for cell in read(NOTEBOOK).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    return "\n".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)


def test_all_that_is_trained_has_its_seeds_and_its_views() -> None:
    for name in TRAINED:
        runs = [run for run in stored().values if run["variant"] == name]
        assert sorted(run["seed"] for run in runs) == list(range(11, 11 + SEEDS))
        assert all(set(run["scores"]) == set(PROBED[name]) for run in runs)


@pytest.mark.parametrize("group", CLAIMS)
def test_what_was_written_by_hand_is_what_was_measured(group: str) -> None:
    answered(stored().values, group)
    assert repr(claims(stored().values, group)) in said()


def test_the_notebook_shows_the_stored_runs() -> None:
    assert stored().label in said() and stored("resolution_costs").label in said()


def test_costs_are_of_every_area_and_near_their_model() -> None:
    costs = stored("resolution_costs").values
    assert [one["area"] for one in costs] == [side**2 for side in SIDES]
    model = fitted(costs)
    for one in costs:
        assert one["milliseconds"] == pytest.approx(model.milliseconds(MEASURED, one["area"]), rel=0.3)


def test_the_stored_table_is_that_of_its_recipe() -> None:
    assert stored_table().shape == (RECIPE.encoder.patches, RECIPE.encoder.width)
    assert stored("learned_positions").recipe["name"] == RECIPE.name
