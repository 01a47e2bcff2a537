"""Fine-tuning on two ranks under ZeRO, gone on with from the middle, is fine-tuning by one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aimv2_lab.training.finetune import MODEL, finetune
from aimv2_lab.training.run import read_metrics
from tests.training.finetune_toy import checkpoint, tuning
from tests.training.finetune_under_deepspeed import RUNS


def test_two_ranks_give_the_losses_weights_and_state_of_one_process(tmp_path: Path) -> None:
    start = checkpoint(tmp_path / "start")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*launcher, "tests.training.finetune_under_deepspeed", str(start), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for method, stage in RUNS:
        finetune(tuning(start, method), tmp_path / method)
        assert_equal(tmp_path / method, tmp_path / f"{method}-{stage}")


def assert_equal(alone: Path, sharded: Path) -> None:
    """Sums are taken in another order: 1e-6 of a loss. Adam divides gradients by their size: 1e-4 of the largest
    weight, 1e-3 in adapters, which began at zero."""
    mine, theirs = read_metrics(alone), read_metrics(sharded)
    assert [row["total"] for row in theirs] == pytest.approx([row["total"] for row in mine], rel=1e-6)
    assert [row["top1"] for row in theirs] == [row["top1"] for row in mine]
    last = "checkpoints/step-00000006"
    assert_close(alone / MODEL / "model.safetensors", sharded / MODEL / "model.safetensors", 1e-4)
    assert_close(alone / last / "model.safetensors", sharded / last / "model.safetensors", 1e-3)
    assert_close(alone / last / "optimizer.safetensors", sharded / last / "optimizer.safetensors", 1e-4)


def assert_close(file: Path, other_file: Path, tolerance: float) -> None:
    """Whether all tensors are, by the largest number of each."""
    one, other = load_file(file), load_file(other_file)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=0, atol=tolerance * tensor.abs().max().item(), msg=name)
