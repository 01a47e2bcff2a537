"""The native page's commands and snippet run, with few steps, and its table is the code's."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from aimv2_lab import load_preprocessing
from aimv2_lab.data.native.areas import Areas
from aimv2_lab.launch.command import read_command
from aimv2_lab.launch.pretrain import run_pretraining
from aimv2_lab.recipes import Recipe, ResolutionRecipe, recipe
from tests.formats.encoders import photograph
from tests.pages import fenced, run_snippet

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/native.md").read_text()
QUICK = "--training.steps 2 --training.warmup-steps 1 --training.validation-batches 1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command was run, with few steps."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "data_samples").symlink_to(ROOT / "data_samples")
    photograph(130, 100).save(folder / "photo.jpg")
    photograph(50, 170).save(folder / "tall.jpg")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lines = [line for block in fenced(PAGE, "sh") for line in block.splitlines()]
        assert len(lines) == 2
        for line in lines:
            words = shlex.split(line.removeprefix("python -m aimv2_lab.launch.pretrain"))
            run_pretraining(read_command([*words, *QUICK.split()], "pretrain"))
    return folder


def test_the_snippet_gives_features_of_every_picture(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (code,) = fenced(PAGE, "python")
    found = run_snippet(code, place)["found"]
    assert [one.dense.shape for one in found] == [(1, 5, 6, 128), (1, 10, 3, 128)]  # at most 32 patches, as in training
    assert load_preprocessing("runs/small-native").multiple == 14


def test_the_table_lists_every_field_with_its_default() -> None:
    rows = re.findall(r"^\| `resolution\.(\w+)` \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
    assert dict(rows) == {field.name: str(field.default) for field in fields(ResolutionRecipe)}


def test_the_numbers_of_the_full_scale_are_the_recipes() -> None:
    native = recipe("aimv2-large-native")
    assert isinstance(native, Recipe)
    tokens = Areas(native).tokens
    assert f"= {tokens:,} for" in PAGE
    assert f"{tokens // 4096} to\n{tokens // 128:,} pictures a step" in PAGE


def test_links_lead_somewhere_and_no_line_names_a_place_of_ours() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert targets and all((ROOT / "docs" / target).exists() for target in targets)
    assert not re.findall(r"/(?:work|home|tmp)/", PAGE)
