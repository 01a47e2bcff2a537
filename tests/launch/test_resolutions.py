"""Resolutions compared by one command: both results are stored, pilot seeds beside their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.evaluation.resolutions.costs import measured_costs
from aimv2_lab.evaluation.resolutions.measuring import Family
from aimv2_lab.evaluation.resolutions.toys import TRAINED
from aimv2_lab.launch import resolutions
from aimv2_lab.report.stored import load_result


def test_both_results_are_stored_where_the_seeds_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Family] = []

    def measured(families: list[Family], *_: object) -> list[dict[str, Any]]:
        asked.extend(families)
        return [
            {"members": [{"variant": name, "seed": one.seed, "seconds": 2.0} for name in one.members]}
            for one in families
        ]

    monkeypatch.setattr(resolutions, "run_side_by_side", measured)
    monkeypatch.setattr(resolutions, "measured_costs", lambda: measured_costs((2,), 1, 4))
    monkeypatch.setattr(resolutions, "FOLDER", tmp_path / "package")
    resolutions.run(resolutions.ResolutionsOptions(runs=tmp_path / "runs"), "command")
    values = load_result("resolutions", tmp_path / "package").values
    assert sorted({value["variant"] for value in values}) == sorted(TRAINED)
    assert sorted({value["seed"] for value in values}) == [11, 12, 13] and len(values) == 3 * len(TRAINED)
    assert load_result("resolutions", tmp_path / "package").seconds == 2.0 * len(values)
    assert [one["area"] for one in load_result("resolution_costs", tmp_path / "package").values] == [4]
    assert capsys.readouterr().out.count("stored: ") == 2

    asked.clear()
    resolutions.run(resolutions.ResolutionsOptions("pilot", tmp_path / "runs", costs_alone=True), "command")
    assert not asked and (tmp_path / "runs" / "resolution_costs.json").exists()
    assert not (tmp_path / "runs" / "resolutions.json").exists()
