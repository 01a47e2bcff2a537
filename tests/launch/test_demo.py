"""The demo learns what it promises, on held-out scenes that nobody picked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aimv2_lab.formats.folder import load_model
from aimv2_lab.launch.demo import comparable_band
from aimv2_lab.recipes import recipe

pytestmark = pytest.mark.timeout(1800)  # one whole training, with one thread

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run folder and the printed table of one whole demo."""
    run = tmp_path_factory.mktemp("runs") / "demo"
    command = [sys.executable, "-m", "aimv2_lab.launch.demo", "--run", str(run)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return run, done.stdout


def test_it_has_visibly_learned(demo: tuple[Path, str]) -> None:
    result = json.loads((demo[0] / "result.json").read_text())
    shares = {kind: score["true"] / score["stated"] for kind, score in result["truth"].items()}
    assert result["truth"]["generated"]["captions"] == 512
    assert shares["generated"] >= 0.85
    assert shares["generated"] > shares["shuffled_pictures"] + 0.25
    assert shares["generated"] > shares["other_scenes"] + 0.25
    assert result["truth"]["generated"]["stated"] / 512 > 2.5  # saying little would be a way to err little
    assert result["shape_trained"] >= result["shape_untrained"] + 0.20
    assert result["losses"]["pixel"] < 0.5


def test_it_prints_the_table_and_the_first_four_held_out_scenes(demo: tuple[Path, str]) -> None:
    run, printed = demo
    result = json.loads((run / "result.json").read_text())
    for scene in range(4):
        assert f"held-out scene {scene}" in printed
        assert result["generated"][scene] in printed
        assert result["true_captions"][scene] in printed
    for row in ("pixel loss", "caption loss", "true facts", "attentive probe"):
        assert row in printed


def test_it_says_that_it_is_normal(demo: tuple[Path, str]) -> None:
    """Seed 0 lies inside the band of seeds 1 … 10."""
    for line in (
        "10 other seeds",
        "pixel loss: inside the band",
        "caption loss: inside the band",
        "held-out pixel loss",
    ):
        assert line in demo[1]


def test_another_recipe_is_not_compared_and_told_why() -> None:
    band, note = comparable_band(recipe("tiny", {"training.peak_lr": 2e-3}))
    assert band is None
    assert "No other seeds to compare it with" in note and "training.peak_lr is 0.002" in note


def test_the_demos_own_recipe_is_compared() -> None:
    band, note = comparable_band(recipe("tiny"))
    assert band is not None and not note


def test_it_leaves_report_recipe_and_checkpoint(demo: tuple[Path, str]) -> None:
    run, _ = demo
    assert (run / "report.png").read_bytes().startswith(b"\x89PNG")
    assert load_model(run).recipe.name == "tiny"
    assert (run / "recipe.json").exists()
