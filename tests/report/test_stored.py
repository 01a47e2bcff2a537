"""Stored results come back as they were saved, with what made them; unknown names are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from aimv2_lab.fields import UnknownName
from aimv2_lab.report.stored import FOLDER, load_result, save_result

EVERY = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_a_result_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    values = [{"seed": 1, "measures": {"pixel": 0.5}}, {"seed": 2, "measures": {"pixel": 0.4}}]
    save_result("one", values, "python -m somewhere", {"name": "tiny"}, 90.0, tmp_path)
    result = load_result("one", tmp_path)
    assert result.values == values and result.recipe == {"name": "tiny"}
    assert result.label.startswith("python -m somewhere · 2 min on ") and "torch" in result.label
    assert len((tmp_path / "one.json").read_text().splitlines()) < 14  # a line per run, for readable differences


def test_an_unknown_name_offers_the_nearest(tmp_path: Path) -> None:
    save_result("pixel_weight", {}, "", {}, 0.0, tmp_path)
    with pytest.raises(UnknownName, match="did you mean pixel_weight"):
        load_result("pixel_weights", tmp_path)


@pytest.mark.parametrize("name", EVERY)
def test_every_committed_result_says_how_it_was_made_and_is_small(name: str) -> None:
    result = load_result(name)
    assert result.name == name and result.command.startswith("python -m aimv2_lab.") and result.seconds > 0
    assert {"python", "machine", "threads", "versions"} <= set(result.environment) and result.recipe["name"]
    assert (FOLDER / f"{name}.json").stat().st_size < 300_000
    assert "/" not in result.command.replace("runs/", "")  # no path of one machine
