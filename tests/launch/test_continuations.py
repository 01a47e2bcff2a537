"""The commands that go on from a trained encoder that stays as it is: LiT and distillation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aimv2_lab import load_encoder
from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.formats.export import export_encoder
from aimv2_lab.formats.load import load_towers
from aimv2_lab.launch import distil, finetune, lit
from aimv2_lab.training.run.folder import read_metrics
from tests.training.finetune_toy import TUNING, checkpoint
from tests.training.toy import SMALL


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("start") / "model")


def quick() -> list[str]:
    values = {name.replace("_", "-"): str(value) for name, value in TUNING.items() if name.startswith("training.")}
    return [word for name, value in values.items() for word in (f"--{name}", value)]


def ended(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"aimv2_lab.launch.{module}", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_lit_teaches_a_text_tower_and_leaves_the_encoder(start: Path, tmp_path: Path) -> None:
    options = ["--start", str(start), "--size", "tiny", "--data", "world:easy:64", "--run", str(tmp_path / "run")]
    more = [*quick(), "--training.batch-size", "8"]
    done = ended("lit", *options, *more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("step 6: validation loss ") and "matched; run in" in done.stdout
    images = torch.randn(2, 3, 24, 24)
    assert torch.equal(load_towers(tmp_path / "run").encoder(images), load_encoder(start)(images))
    assert "holds a run already" in ended("lit", *options, *more).stderr


def test_lit_options_come_from_the_checkpoint_the_size_and_the_command(start: Path) -> None:
    tiny = lit.read_options(["--start", str(start), "--size", "tiny", "--loss", "sigmoid", "--text.depth", "2"]).recipe
    assert (tiny.loss, tiny.text.depth, tiny.encoder.width, tiny.data.source) == ("sigmoid", 2, 32, "world:easy")
    released = lit.read_options(["--start", str(start), "--data", "folder"]).recipe
    assert (released.text.width, released.text.depth, released.text.vocabulary) == (768, 12, 49_408)
    assert (released.shared_width, released.data.source, released.data.mixture) == (768, "folder", ())
    assert released.data.tokenizer == "openai/clip-vit-base-patch32"
    full = lit.read_options(["--start", str(start)]).recipe
    assert full.training.steps * full.training.batch_size == pytest.approx(3e9, rel=1e-4)  # paper, Table 5: 3B pairs
    assert {part.name for part in full.data.mixture} == {"dfn-alt", "coyo-alt", "hqitp-alt"}


def test_distillation_leaves_a_small_encoder(start: Path, tmp_path: Path) -> None:
    student = ["--encoder.width", "16", "--encoder.heads", "2", "--encoder.depth", "1"]
    options = ["--teacher", str(start), *student, "--data", "world:easy:64", "--run", str(tmp_path / "run")]
    more = [*quick(), "--training.batch-size", "8"]
    done = ended("distil", *options, *more, "--pretraining-weight", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("step 6: validation feature loss ")
    assert load_encoder(tmp_path / "run").recipe.width == 16
    assert {"features", "pixel", "text"} <= read_metrics(tmp_path / "run", "validation")[-1].keys()


def test_distillation_options_come_from_teacher_and_student(start: Path) -> None:
    recipe = distil.read_options(["--teacher", str(start), "--student", "small"]).recipe
    assert (recipe.name, recipe.teacher_encoder.width, recipe.encoder.width) == ("small-from-tiny", 32, 256)
    assert (recipe.encoder.image_size, recipe.encoder.patch_size) == (24, 12)  # the teacher's
    with pytest.raises(ValueError, match="learns the teacher's features patch by patch"):
        recipe.change({"encoder.image_size": 48})


@pytest.mark.parametrize(("module", "option"), [("lit", "--start"), ("distil", "--teacher")])
def test_bad_commands_end_plainly(module: str, option: str, tmp_path: Path) -> None:
    assert option in ended(module).stderr
    missing = ended(module, option, str(tmp_path / "nowhere"))
    assert missing.returncode == 1 and "no checkpoint at" in missing.stderr and "Traceback" not in missing.stderr


def test_all_of_them_start_from_what_other_libraries_wrote(start: Path, tmp_path: Path) -> None:
    place, known = str(tmp_path / "theirs"), Preprocessing((0.4, 0.5, 0.6), (0.2, 0.2, 0.2), 24, 24)
    export_encoder(load_encoder(start), known, "transformers", place)
    common, run = ["--data", "world:easy:64", *quick(), "--training.batch-size", "8"], str(tmp_path / "run")
    towers = lit.read_options(["--start", place, "--size", "tiny", *common, "--run", run])
    student = distil.read_options(["--teacher", place, "--encoder.width", "64", "--encoder.heads", "2", *common])
    for recipe in (towers.recipe, student.recipe, finetune.read_options(["--start", place, *common]).recipe):
        assert recipe.data.mean == (0.4, 0.5, 0.6) and recipe.encoder.image_size == 24
    lit.run_lit(towers)
    images = torch.randn(2, 3, 24, 24)
    assert torch.equal(load_towers(run).encoder(images), load_encoder(start)(images))


def test_a_resumed_run_has_its_recipe_in_its_folder(start: Path, tmp_path: Path) -> None:
    run = ["--run", str(tmp_path / "run")]
    first = lit.read_options(["--start", str(start), "--size", "tiny", "--data", "world:easy:64", *quick(), *run])
    lit.run_lit(first)
    again = lit.read_options([*run, "--resume", "--data", "world:easy:64", "--training.log-every", "2"])
    assert again.recipe == first.recipe.change({"training.log_every": 2}) and again.resume


def test_a_folder_of_the_mixture_is_read_as_pretrain_reads_it(start: Path, tmp_path: Path) -> None:
    for name in ("dfn/shards", "coyo/shards", "datacomp_1b/shards"):
        (tmp_path / name).mkdir(parents=True)
    placed = lit.read_options(["--start", str(start), "--data", str(tmp_path)]).recipe.data
    assert [part.source for part in placed.mixture] == [
        f"{tmp_path}/{name}/shards" for name in ("dfn", "coyo", "datacomp_1b")
    ]


def test_columns_and_limits_of_the_start_are_not_carried_along(tmp_path: Path) -> None:
    labelled = checkpoint(
        tmp_path / "labelled", SMALL.change({"data.caption_column": "label", "data.at_least": ["w=2"]})
    )
    for size in ("released", "tiny"):
        data = lit.read_options(["--start", str(labelled), "--size", size]).recipe.data
        assert (data.caption_column, data.at_least) == ("", ())
