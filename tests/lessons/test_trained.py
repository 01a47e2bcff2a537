"""The committed model is the one the notebooks speak of: it captions and sees as measured when it was stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from aimv2_lab.evaluation.world import caption_truth, captions, world_pictures, world_source
from aimv2_lab.lessons.trained import TRAINED, load_trained, store
from aimv2_lab.recipes import differences, recipe
from aimv2_lab.training.loop import pretrain


def test_the_committed_model_is_the_demos_and_says_what_is_true() -> None:
    trained = load_trained()
    assert not differences(recipe("tiny"), trained.model.recipe).keys() - {"training.log_every"}
    assert all(weights.dtype == torch.float32 for weights in trained.model.parameters())
    source, shown = world_source(trained.model.recipe), range(64)
    pictures = world_pictures(source, shown, trained.model.recipe.data, 48)
    truth = caption_truth(captions(trained.model, pictures, trained.tokenizer), source, shown)
    assert truth.generated.true_share > 0.8 > 0.5 > truth.shuffled_pictures.true_share
    assert sum(path.stat().st_size for path in TRAINED.rglob("*") if path.is_file()) < 4_000_000


def test_a_run_is_stored_and_loaded_again(tmp_path: Path) -> None:
    small = {"training.steps": 1, "encoder.depth": 1, "decoder.depth": 1, "training.validation_batches": 1}
    run, folder = tmp_path / "run", tmp_path / "stored"
    model = pretrain(recipe("tiny", small), run).model
    store(run, folder)
    trained, from_run = load_trained(folder), load_trained(run)
    for name, weights in model.state_dict().items():
        assert torch.equal(from_run.model.state_dict()[name], weights)
        assert torch.allclose(trained.model.state_dict()[name], weights, atol=1e-3)
    assert trained.losses["pixel"] == pytest.approx(from_run.losses["pixel"], abs=1e-4)
    assert json.loads((folder / "losses.json").read_text())["step"] == 1
