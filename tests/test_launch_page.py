"""The launch page's commands can be read, and its lists are those of the code."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from aimv2_lab.launch.command import read_command
from aimv2_lab.launch.probe import read_options as read_probe
from aimv2_lab.recipes import EngineRecipe, recipe
from aimv2_lab.recipes.probe_sets import PROBE_SETS
from aimv2_lab.training.run.folder import FREE_ON_RESUME
from aimv2_lab.training.run.stopping import STOPPED
from aimv2_lab.training.sharded.config import NOT_DEEPSPEEDS, deepspeed_config
from tests.pages import fenced
from tests.test_readme import README

PAGE = (Path(__file__).resolve().parents[1] / "docs/launch.md").read_text()
MODULE, PROBE = " aimv2_lab.launch.pretrain ", " aimv2_lab.launch.probe "


EVERY = [line for block in fenced(PAGE, "sh") for line in block.splitlines()]
COMMANDS = [line for line in EVERY if PROBE not in line]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_names_options_that_exist(command: str) -> None:
    launcher, _, ours = command.partition(MODULE)
    options = read_command(shlex.split(ours), "pretrain")
    assert options.run is not None
    assert launcher.startswith("torchrun") == launcher.endswith("-m --")
    assert launcher.startswith("deepspeed") == launcher.endswith("--module")
    if "--nproc_per_node 2" in launcher:
        assert deepspeed_config(options.recipe, 2)["gradient_accumulation_steps"] == 1


def test_the_probing_command_names_options_that_exist() -> None:
    (command,) = [line for line in EVERY if PROBE in line]
    launcher, _, ours = command.partition(PROBE)
    options, known = read_probe(shlex.split(ours))
    assert options.recipe.augmented and known == PROBE_SETS["pets"]
    assert launcher.startswith("torchrun") and launcher.endswith("-m --")


def test_every_launcher_is_there() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"deepspeed", "torchrun", "srun"}


def test_the_engines_fields_are_all_listed_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", PAGE, flags=re.MULTILINE)
    assert dict(rows) == {field.name: str(field.default) or "(none)" for field in fields(EngineRecipe)}


def test_what_may_change_on_resume_is_listed() -> None:
    (listed,) = re.findall(r"these may change: (.*?)\. Where data moved", PAGE, flags=re.DOTALL)
    assert {*re.findall(r"`([\w.]+)`", listed)} == FREE_ON_RESUME


def test_every_setting_that_is_refused_is_listed() -> None:
    (listed,) = re.findall(r"to use instead: (.*?), batch sizes", PAGE, flags=re.DOTALL)
    assert {*re.split(r",\s+|\s+and\s+", listed)} == {*NOT_DEEPSPEEDS}


def test_the_deepspeed_file_is_accepted(tmp_path: Path) -> None:
    (block,) = fenced(PAGE, "json")
    (tmp_path / "own.json").write_text(block)
    made = deepspeed_config(recipe("tiny", {"engine.deepspeed": str(tmp_path / "own.json")}), 1)
    assert made["zero_optimization"]["overlap_comm"] is json.loads(block)["zero_optimization"]["overlap_comm"] is True
    assert made["zero_optimization"]["stage"] == 1


def test_the_status_of_a_stopped_run_is_named() -> None:
    assert f"| {STOPPED} | told to stop by SIGTERM" in PAGE


def test_the_readme_leads_here() -> None:
    assert "(docs/launch.md)" in README


def test_no_line_names_a_place_of_ours() -> None:
    assert not re.findall(r"/(?:work|home|tmp)/", PAGE)
