"""The fine-tuning command: a checkpoint and labelled pictures in, a plain classifier out, plain errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aimv2_lab import load_encoder
from aimv2_lab.launch.finetune import read_options, run_finetuning
from aimv2_lab.training.finetune import MODEL
from tests.data.generated import write_image_folder
from tests.training.finetune_toy import checkpoint

QUICK = {"steps": 4, "batch-size": 4, "micro-batch-size": 2, "warmup-steps": 1, "validation-batches": 1}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("start") / "model")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve for training and four held out, of two species."""
    folder = tmp_path_factory.mktemp("pictures")
    for split, number in (("train", 12), ("val", 4)):
        lines = [{"file_name": f"{n}.png", "species": ("owl", "cat")[n % 2]} for n in range(number)]
        write_image_folder(folder / split, lines)
    return folder


def command(start: Path, data: Path | str, run: Path, *more: str) -> list[str]:
    quick = [word for name, value in QUICK.items() for word in (f"--training.{name}", str(value))]
    named = ["--start", str(start), "--data", str(data), "--run", str(run)]
    return [*named, "--data.caption-column", "species", *quick, *more]


def test_tunes_on_labelled_files_and_leaves_an_encoder(start: Path, pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = command(start, pictures, run, "--method", "lora")
    program = [sys.executable, "-m", "aimv2_lab.launch.finetune"]
    done = subprocess.run([*program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("step 4: validation top-1 ")
    assert load_encoder(run / MODEL)(torch.zeros(1, 3, 24, 24)).shape == (1, 4, 32)
    with pytest.raises(FileExistsError, match="holds a run already"):
        run_finetuning(read_options(arguments))


def test_options_come_from_the_checkpoint_the_method_and_the_command(start: Path, pictures: Path) -> None:
    full = read_options(command(start, pictures, Path("run")))
    lora = read_options(command(start, pictures, Path("run"), "--method", "lora", "--lora-rank", "4"))
    assert (lora.recipe.method, lora.recipe.lora_rank, lora.recipe.training.steps) == ("lora", 4, 4)
    assert lora.recipe.training.peak_lr == 10 * full.recipe.training.peak_lr
    assert full.recipe.encoder.image_size == 24
    assert read_options(command(start, pictures, Path("run"), "--local_rank", "1")) == full  # as deepspeed adds it
    assert full.recipe.data.source == str(pictures)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data.caption-column", "kind"], "no label column kind"),
        (["--classes", "owl", "dog"], "unknown class 'cat'"),
        (["--encoder.depth", "3"], "leave the fields of encoder"),
    ],
)
def test_bad_input_is_named(more: list[str], message: str, start: Path, pictures: Path, tmp_path: Path) -> None:
    options = read_options(command(start, pictures, tmp_path / "run", *more))
    with pytest.raises(ValueError, match=message):
        run_finetuning(options)


def test_a_start_that_is_no_checkpoint_is_named(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights in"):
        read_options(command(tmp_path, pictures, tmp_path / "run"))
