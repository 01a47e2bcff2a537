"""The native page's commands and snippet run, with few steps, and its table is the code's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest

from aimv2_lab import load_encoder, load_preprocessing
from aimv2_lab.data.native.areas import Areas
from aimv2_lab.formats.load import recipe_of
from aimv2_lab.launch import adapt
from aimv2_lab.launch.command import Options, read_command
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
    for name in ("data_samples", "notebooks"):
        (folder / name).symlink_to(ROOT / name)
    photograph(130, 100).save(folder / "photo.jpg")
    photograph(50, 170).save(folder / "tall.jpg")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lines = [line for block in fenced(PAGE, "sh") for line in block.splitlines()]
        for program, words in map(command, [line for line in lines if "aimv2-large" not in line]):
            run_pretraining(read_options(program, [*words, *QUICK.split()]))
    return folder


def command(line: str) -> tuple[str, list[str]]:
    """The program and the options of a line."""
    program, *words = shlex.split(line.removeprefix("python -m aimv2_lab.launch."))
    return program, words


def read_options(program: str, words: Sequence[str]) -> Options | adapt.AdaptationOptions:
    return adapt.read_options(words) if program == "adapt" else read_command(words, "pretrain")


def test_the_commands_of_the_full_scale_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one's recipe in a folder without weights is the start of the second."""
    lines = [line for block in fenced(PAGE, "sh") for line in block.splitlines() if "aimv2-large" in line]
    (tmp_path / "FOLDER").mkdir()
    monkeypatch.chdir(tmp_path)
    found = list[Recipe]()
    for line in lines:
        options = read_options(*command(line))
        assert isinstance(options.recipe, Recipe)
        folder = options.run or Path("runs") / options.recipe.name
        folder.mkdir(parents=True)
        (folder / "recipe.json").write_text(options.recipe.to_json())
        (folder / "model.safetensors").touch()
        found.append(options.recipe)
    first, then = found
    assert (first.encoder.positions, first.resolution.native, first.training.weight_decay) == ("sincos", False, 1e-4)
    assert (then.start, then.resolution.native, then.training.weight_decay) == ("runs/large-sincos", True, 0)
    assert then.training.steps == first.training.steps


def test_a_run_at_one_size_goes_on_with_its_weights(place: Path) -> None:
    start, known = load_encoder(ROOT / "notebooks/trained"), recipe_of(place / "runs/native-on")
    assert isinstance(known, Recipe) and known.resolution.native and known.start == "notebooks/trained"
    moved = load_encoder(place / "runs/native-on").blocks[0].state_dict()
    for name, weight in start.blocks[0].state_dict().items():  # two steps of warm-up away
        assert 0 < (moved[name] - weight).abs().max() < 0.05 * weight.abs().max()


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
