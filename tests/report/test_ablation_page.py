"""What notebook 11 says is what the stored runs say, and would be missed if they changed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from aimv2_lab.evaluation.ablations.readings import READINGS, check_reading, computed_reading
from aimv2_lab.evaluation.ablations.tables import ABLATIONS
from aimv2_lab.evaluation.ablations.variants import MANY, VARIANTS
from aimv2_lab.launch.side_by_side import FIRST_SEEDS
from aimv2_lab.lessons.cards import NOTEBOOKS
from aimv2_lab.lessons.notebooks import read
from aimv2_lab.report import ablation_page
from aimv2_lab.report.ablation_page import all_tables, readings, verdict_table
from aimv2_lab.report.bands import seed_band
from aimv2_lab.report.stored import StoredResult, load_result

NOTEBOOK = NOTEBOOKS / "11_ablations_and_rivals.ipynb"


@cache
def stored() -> StoredResult:
    return load_result("ablations")


def said(path: Path = NOTEBOOK) -> str:
    """All that the notebook's cells have put out as text."""
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    return "\n".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)


def test_every_variant_has_its_seeds() -> None:
    seeds = {name: sorted(run["seed"] for run in stored().values if run["variant"] == name) for name in VARIANTS}
    first = FIRST_SEEDS["report"]
    assert seeds == {name: list(range(first, first + variant.seeds)) for name, variant in VARIANTS.items()}


def test_what_was_written_by_hand_is_what_was_measured() -> None:
    for name, rows in all_tables(stored()).items():
        check_reading(ABLATIONS[name], rows, READINGS[name])


def test_the_notebook_shows_the_stored_runs() -> None:
    tables = all_tables(stored())
    assert stored().label in said() and repr(verdict_table(tables)) in said()


def test_what_was_asked_again_is_of_other_seeds_and_in_the_notebook() -> None:
    again = load_result("ablations_again")
    asked = {(run["variant"], run["seed"]) for run in again.values}
    names = {row.variant for row in ABLATIONS["attention-fine"].rows}
    assert asked == {(name, FIRST_SEEDS["again"] + number) for name in names for number in range(MANY)}
    assert again.label in said()


def test_another_result_would_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(run: dict) -> dict:  # type: ignore[type-arg]
        if run["variant"] != "image-only":
            return run
        scores = {
            probe: {test: {name: score + 0.01 for name, score in factors.items()} for test, factors in tests.items()}
            for probe, tests in run["scores"].items()
        }
        return {**run, "scores": scores}

    tables = all_tables(replace(stored(), values=[shifted(run) for run in stored().values]))
    said_now = {
        name: replace(READINGS[name], rows=computed_reading(ABLATIONS[name], rows)) for name, rows in tables.items()
    }
    monkeypatch.setattr(ablation_page, "READINGS", said_now)  # even where no word changes, the numbers do
    assert repr(verdict_table(tables)) not in said()


def test_every_table_has_a_sentence() -> None:
    tables = all_tables(stored())
    lines = repr(readings(tables)).splitlines()
    assert len(lines) == len(ABLATIONS)
    assert all("at this scale, because" in line for line in lines)


def test_variants_with_many_seeds_keep_how_they_began() -> None:
    for name, variant in VARIANTS.items():
        runs = [run for run in stored().values if run["variant"] == name]
        kept = variant.trained and variant.seeds == MANY
        assert all(("curves" in run) == kept for run in runs), name
    five = [run for run in stored().values if run["variant"] == "aimv2"]
    assert seed_band(replace(stored(), values=five)).steps[:6].tolist() == [10, 20, 30, 40, 50, 60]
