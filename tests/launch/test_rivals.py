"""`--rival NAME`: a rival objective on the encoder, data and training of a recipe, from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aimv2_lab import load_encoder
from aimv2_lab.launch.command import read_command
from aimv2_lab.recipes import ContrastiveRecipe, MaskedImageRecipe, Recipe, recipe, rival
from tests.launch.quick import QUICK, settings
from tests.launch.test_pretrain import ROOT, totals

TRAINED = settings({"encoder": QUICK["encoder"], "training": QUICK["training"]})


def read(*arguments: str) -> object:
    return read_command(arguments, "pretrain", rivals=True).recipe


def test_a_rival_stands_in_the_recipes_place_and_its_own_fields_can_be_set() -> None:
    assert read("--rival", "cappa") == rival("cappa", recipe("tiny"))
    clip = read("--recipe", "small", "--rival", "clip", "--data", "folder", "--text.depth", "1", "--loss", "sigmoid")
    assert isinstance(clip, ContrastiveRecipe)
    assert (clip.text.depth, clip.loss, clip.data.source, clip.encoder) == (
        1,
        "sigmoid",
        "folder",
        recipe("small").encoder,
    )
    masked = read("--rival", "masked-image", "--hidden-share", "0.5", "--training.steps", "7")
    assert isinstance(masked, MaskedImageRecipe)
    assert (masked.hidden_share, masked.training.steps) == (0.5, 7)
    alone = read("--rival", "image-only", "--objective.encoder-attention", "causal")
    assert isinstance(alone, Recipe) and (alone.text_tokens, alone.objective.encoder_attention) == (0, "causal")
    assert read() == recipe("tiny")


def test_what_is_no_rival_is_refused() -> None:
    with pytest.raises(ValueError, match="--rival clip with --recipe aim-tiny: rivals are made of AIMv2's recipes"):
        read("--recipe", "aim-tiny", "--rival", "clip")
    with pytest.raises(SystemExit):
        read("--rival", "dino")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("masked-image", "validation pixel loss 1"),
        ("cappa", "validation caption loss 7"),
        ("siglip", "matched; run in"),
    ],
)
def test_a_rival_is_trained_by_the_command(name: str, shown: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aimv2_lab.launch.pretrain", "--recipe", "small", "--rival", name]
    options = ["--data", "data_samples/webdataset", "--run", str(tmp_path / "run"), "--training.steps", "6", *TRAINED]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    assert ("pixel" in done.stdout, "caption" in done.stdout) == (name == "masked-image", name == "cappa")
    assert [step for step, _ in totals(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    assert load_encoder(tmp_path / "run")(torch.zeros(1, 3, 32, 32)).shape == (1, 16, 32)
