"""A sweep trains every value and seed once, stores what was measured, and uses finished runs again."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from aimv2_lab.launch import sweep as command
from aimv2_lab.launch.sweep import MEASURES, read_sweep, sweep_recipe
from aimv2_lab.report.stored import load_result, save_result

SHORT = ["--training.steps", "3", "--training.log-every", "1", "--training.batch-size", "4"]
SHORT += ["--training.micro-batch-size", "4", "--training.validation-batches", "1", "--encoder.depth", "1"]


def measured(_model: object, run: Path) -> dict[str, float]:
    recipe = json.loads((run / "recipe.json").read_text())
    return {"seed": recipe["training"]["seed"], "weight": recipe["objective"]["pixel_weight"]}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Measuring takes half a minute on real scenes, so that a quick stand-in is measured; results go to a folder."""
    monkeypatch.setattr(command, "measure_run", measured)
    monkeypatch.setattr(command, "save_result", partial(save_result, folder=tmp_path))
    return tmp_path


def test_every_value_and_seed_is_trained_and_stored_once(stored: Path, tmp_path: Path) -> None:
    own = ["--name", "weights", "--vary", "objective.pixel_weight", "--values", "0.1,2", "--seeds", "3,4"]
    arguments = [*own, *SHORT, "--run", str(tmp_path / "runs")]
    sweep_recipe(*read_sweep(arguments), "python -m aimv2_lab.launch.sweep")
    result = load_result("weights", stored)
    assert [(run["value"], run["seed"]) for run in result.values] == [(0.1, 3), (0.1, 4), (2, 3), (2, 4)]
    assert [run["measures"]["weight"] for run in result.values] == [0.1, 0.1, 2, 2]
    assert [run["measures"]["seed"] for run in result.values] == [3, 4, 3, 4]
    assert all(run["curves"]["step"] == [5.0] and len(run["curves"]["pixel"]) == 1 for run in result.values)
    assert result.recipe["training"]["steps"] == 3 and result.seconds > 0


def test_a_finished_run_is_used_again(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--name", "seeds", "--seeds", "3", *SHORT, "--run", str(tmp_path / "runs")]
    sweep_recipe(*read_sweep(arguments), "first")
    assert (tmp_path / "runs" / "3" / MEASURES).exists()
    monkeypatch.setattr(command, "pretrain", None)  # a second training would fail
    sweep_recipe(*read_sweep(arguments), "second")
    first, again = (load_result("seeds", stored) for _ in range(2))
    assert first.values == again.values and again.command == "second"


@pytest.mark.parametrize("own", [["--vary", "objective.pixel_weight"], ["--values", "1,2"]])
def test_a_field_and_its_values_belong_together(own: list[str]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        read_sweep(["--name", "half", *own])


def test_numbers_of_another_recipe_are_not_passed_off_as_this_ones(stored: Path, tmp_path: Path) -> None:
    arguments = ["--name", "seeds", "--seeds", "3", *SHORT, "--run", str(tmp_path / "runs")]
    sweep_recipe(*read_sweep(arguments), "first")
    with pytest.raises(ValueError, match=r"objective\.pixel_weight was 0\.4, is 2\.0"):
        sweep_recipe(*read_sweep([*arguments, "--objective.pixel-weight", "2"]), "first")


def test_another_commands_result_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match=r"tiny_seeds.json was made by 'python -m .*choose another --name"):
        sweep_recipe(*read_sweep(["--name", "tiny_seeds", "--seeds", "1"]), "python -m aimv2_lab.launch.sweep")
