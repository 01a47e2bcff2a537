"""The adaptation command: a run in, the same model at another resolution out, plain errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aimv2_lab import load_encoder
from aimv2_lab.formats.load import recipe_of
from aimv2_lab.launch.adapt import RECIPES, read_options
from aimv2_lab.launch.pretrain import run_pretraining
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.training.loop import build_model, pretrain
from tests.data.generated import write_image_folder
from tests.training.contrastive_toy import paired
from tests.training.finetune_toy import TUNING, checkpoint

# A run of the recipe small, so small that it takes a second: 16 patches of 7 pixels a side.
SIZES = {
    "encoder.width": 32,
    "encoder.depth": 1,
    "encoder.hidden": 64,
    "encoder.patch_size": 7,
    "decoder.width": 32,
    "decoder.depth": 1,
    "decoder.hidden": 64,
    "decoder.vocabulary": 300,
}
TRAINED = recipe("small", {**SIZES, **TUNING, "encoder.image_size": 28, "training.batch_size": 8})


def captioned(folder: Path) -> Path:
    lines = [{"file_name": f"{n}.png", "text": f"an alt text {n}", "made_up": f"synthetic {n}"} for n in range(64)]
    return write_image_folder(folder, lines)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pre-training on pictures with both kinds of captions, and a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("start")
    place = str(captioned(folder / "pictures"))
    changes = {"data.source": place, "data.synthetic_column": "made_up", "data.validation_share": 0.5}
    pretrain(TRAINED.change(changes), folder / "run")
    return folder / "run"


def command(*more: str) -> list[str]:
    values = {**SIZES, **TUNING, "encoder.image_size": 42, "training.batch_size": 8}
    del values["data.source"]
    sizes = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return ["--recipe", "small", *more, *sizes]


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "aimv2_lab.launch.adapt", *arguments]
    return subprocess.run(words, capture_output=True, text=True)


def test_a_run_goes_on_at_another_resolution_on_its_own_alt_texts(run: Path, tmp_path: Path) -> None:
    arguments = command("--start", str(run), "--run", str(tmp_path / "run"))
    done = ended(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("step 6: validation pixel loss ") and "caption loss" in done.stdout
    assert "synthetic captions (made_up) are left out" in done.stderr
    assert load_encoder(tmp_path / "run")(torch.zeros(1, 3, 42, 42)).shape == (1, 36, 32)
    made = recipe_of(tmp_path / "run")
    assert isinstance(made, Recipe)
    assert (made.name, made.start, made.training.weight_decay) == ("small-from-small", str(run), 0)
    assert made.data.tokenizer == str(run / "tokenizer")
    assert (made.data.synthetic_column, made.data.synthetic_share) == ("", 0)
    with pytest.raises(FileExistsError, match="holds a run already"):
        run_pretraining(read_options(arguments))
    again = read_options(["--run", str(tmp_path / "run"), "--resume", "--training.log-every", "2"])
    assert again.resume and again.recipe == made.change({"training.log_every": 2})


def test_the_start_may_be_named_by_from(run: Path) -> None:
    named, short = (read_options(command(flag, str(run))) for flag in ("--start", "--from"))
    assert named == short
    assert read_options(command(f"--from={run}", "--local_rank", "1")) == named  # as deepspeed adds it


SIZES_OF_MANY = ("--encoder.positions", "sincos", "--resolution.batching", "padded", "--resolution.area-exponents")


def test_a_run_with_sine_cosine_positions_goes_on_at_native_resolution(run: Path, tmp_path: Path) -> None:
    """One with a position table does not, and what the refusal advises can be read."""
    many = (*SIZES_OF_MANY, "2", "5")
    with pytest.raises(ValueError, match=r"encoder\.positions is 'learned' there") as refused:
        read_options([*command("--start", str(run)), *many])
    assert "give these fields" not in str(refused.value)
    remedy = "--resolution.batching fixed --encoder.positions learned"
    assert "pre-trained with --encoder.positions sincos" in str(refused.value) and remedy in str(refused.value)
    assert not read_options([*command("--start", str(run)), *remedy.split()]).recipe.resolution.native
    start = checkpoint(tmp_path / "start", TRAINED.change({"encoder.positions": "sincos", "data.tokenizer": "world"}))
    options = read_options([*command("--start", str(start)), *many, "--data", "world:easy:64"])
    assert options.recipe.resolution.native and options.recipe.training.weight_decay == 0
    begun = load_file(start / "model.safetensors")
    assert all(torch.equal(weight, begun[name]) for name, weight in build_model(options.recipe).state_dict().items())


def test_the_papers_stage_is_the_default_of_its_presets() -> None:
    assert {f"aimv2-{size}-{pixels}" for size in ("large", "huge", "1b", "3b") for pixels in (336, 448)} < {
        *RECIPES.values
    }
    assert not [name for name in RECIPES.values if name.startswith("aim-")]


def test_a_mixture_loses_its_synthetic_captions_and_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = {"source": "one", "weight": 3, "synthetic_column": "json.made", "synthetic_share": 0.5}
    parts = [both, {"source": "two", "weight": 2}, both | {"source": "one", "name": "made", "synthetic_share": 1.0}]
    (tmp_path / "mixture.json").write_text(json.dumps(parts))
    options = read_options(command("--start", str(run), "--data", str(tmp_path / "mixture.json")))
    found = [
        (part.source, part.weight, part.synthetic_column, part.synthetic_share) for part in options.recipe.data.mixture
    ]
    assert found == [("one", 3, "", 0), ("two", 2, "", 0)]
    said = capsys.readouterr().err
    assert "synthetic captions (json.made) are left out, and with them 1 of 3 sources" in said
    options = read_options(command("--start", str(run), "--data", "there", "--data.synthetic-column", "made_up"))
    assert options.recipe.data.synthetic_column == ""
    assert "synthetic captions (made_up) are left out\n" in capsys.readouterr().err


def test_bad_commands_end_plainly(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_options([])
    assert "required: --start/--from" in capsys.readouterr().err
    missing = ended("--start", str(tmp_path / "nowhere"))
    assert missing.returncode == 1 and "no checkpoint at" in missing.stderr and "Traceback" not in missing.stderr
    with pytest.raises(ValueError, match=r"encoder\.width is 32 there, 128 in the recipe"):
        read_options(["--recipe", "tiny", "--start", str(run)])


@pytest.mark.filterwarnings("ignore:The field")  # tyro's, of towers in AIMv2's place
def test_a_run_of_another_kind_is_not_gone_on_with(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a run that began from no whole model"):
        read_options(["--run", str(run), "--resume"])
    towers = paired(image_tower="trained").change(TUNING)
    pretrain(towers, tmp_path / "towers")
    with pytest.raises(ValueError, match="holds a run that began from no whole model"):
        read_options(["--run", str(tmp_path / "towers"), "--resume"])
