"""The commands and snippets of the page on going on from an encoder run, one after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from aimv2_lab import load_encoder
from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.evaluation.zero_shot import embed_texts
from aimv2_lab.formats.load import load_towers
from aimv2_lab.launch import adapt, distil, export, lit
from aimv2_lab.launch.pretrain import run_pretraining
from tests.formats.encoders import assert_close, photograph
from tests.pages import fenced, run_snippet

ROOT = Path(__file__).resolve().parents[1]

PAGE = (ROOT / "docs/continue.md").read_text()
QUICK = "--training.steps 2 --training.warmup-steps 1 --training.batch-size 8 --training.micro-batch-size 8"
START = "python -m aimv2_lab.launch."


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command was run, with few steps."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "notebooks").symlink_to(ROOT / "notebooks")
    photograph(300, 200).save(folder / "photo.jpg")
    programs = {
        "adapt": lambda words: run_pretraining(adapt.read_options([*words, *QUICK.split()])),
        "lit": lambda words: lit.run_lit(lit.read_options([*words, *QUICK.split()])),
        "export": export.run_export,
        "distil": lambda words: distil.run_distillation(distil.read_options([*words, *QUICK.split()])),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in [line for block in fenced(PAGE, "sh") for line in block.splitlines()]:
            program, *words = shlex.split(line.removeprefix(START))
            programs[program](words)
    return folder


def test_the_snippets_run_and_both_libraries_say_the_same(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    zero_shot, transformers = fenced(PAGE, "python")
    with torch.no_grad():
        assert run_snippet(zero_shot, place)["cosines"].shape == (1, 3)
        theirs = run_snippet(transformers, place)["texts"]
    towers, tokenizer = load_towers("encoders/lit"), load_tokenizer("encoders/lit")
    mine = embed_texts(towers, tokenizer, ["a circle.", "we see a large square."])
    assert_close(mine, functional.normalize(theirs, dim=-1))


def test_student_and_adapted_encoder_are_there_and_links_lead_somewhere(place: Path) -> None:
    assert load_encoder(place / "runs/student").recipe.width == 64
    assert load_encoder(place / "runs/tiny-96").recipe.image_size == 96
    targets = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert targets and all((ROOT / "docs" / target).exists() for target in targets)
