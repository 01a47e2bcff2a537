"""Runs from a start, rivals and a native run on two ranks with ZeRO, gone on with from the middle, are those of one
process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aimv2_lab.recipes import FinetuneRecipe
from aimv2_lab.training.finetune import MODEL, finetune
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.folder import read_metrics
from tests.training.adaptation_toy import WHOLE
from tests.training.finetune_toy import checkpoint
from tests.training.starts_under_deepspeed import STAGES, recipes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every run twice: by one process, and on two ranks with DeepSpeed."""
    folder = tmp_path_factory.mktemp("runs")
    start = checkpoint(folder / "start")
    checkpoint(folder / "whole", WHOLE)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*launcher, "tests.training.starts_under_deepspeed", str(start), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name, recipe in recipes(start).items():
        if isinstance(recipe, FinetuneRecipe):
            finetune(recipe, folder / name)
        else:
            pretrain(recipe, folder / name)
    return folder


@pytest.mark.parametrize("name", STAGES)
def test_two_ranks_give_the_losses_weights_and_state_of_one_process(folder: Path, name: str) -> None:
    """Sums are taken in another order: 1e-6 of a loss. Adam divides gradients by their size: 1e-4 of the largest
    weight, 1e-3 where weights began near zero, as adapters and a pair of towers do."""
    alone, sharded = folder / name, folder / f"{name} sharded"
    mine, theirs = read_metrics(alone), read_metrics(sharded)
    assert [row["total"] for row in theirs] == pytest.approx([row["total"] for row in mine], rel=1e-6)
    for share in {"top1", "matched"} & mine[0].keys():
        assert [row[share] for row in theirs] == [row[share] for row in mine]
    last = "checkpoints/step-00000006"
    assert_close(alone / last / "model.safetensors", sharded / last / "model.safetensors", 1e-3)
    assert_close(alone / last / "optimizer.safetensors", sharded / last / "optimizer.safetensors", 1e-4)
    if (alone / MODEL).exists():
        assert_close(alone / MODEL / "model.safetensors", sharded / MODEL / "model.safetensors", 1e-4)


def assert_close(file: Path, other_file: Path, tolerance: float) -> None:
    """Whether all tensors are, by the largest number of each."""
    one, other = load_file(file), load_file(other_file)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=0, atol=tolerance * tensor.abs().max().item(), msg=name)
