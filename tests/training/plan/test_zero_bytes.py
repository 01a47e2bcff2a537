"""DeepSpeed's own tensors on two CPU ranks: the plan counts them, stage by stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aimv2_lab.recipes import recipe
from aimv2_lab.training.plan.activations import Activations, Kept
from aimv2_lab.training.plan.memory import rank_memory
from tests.training.plan.zero_bytes import CASES

RANKS = 2


def test_every_stage_holds_what_is_planned(tmp_path: Path) -> None:
    file = tmp_path / "held.json"
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(RANKS), "--rdzv-backend", "c10d"]
    launch += ["--rdzv-endpoint", "127.0.0.1:0", "-m", "tests.training.plan.zero_bytes", str(file)]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, *launch], env=quiet, check=True, capture_output=True)
    rows = json.loads(file.read_text())
    assert len(rows) == len(CASES) == 7
    for row in rows:
        stage, weights = row["stage"], row["weights_type"]
        changes = {"engine.zero_stage": stage, "engine.weights": weights, "training.precision": "bfloat16"}
        batch = {"training.batch_size": 2 * RANKS, "training.micro_batch_size": 1}
        known = recipe("tiny", {**changes, **batch})
        memory = rank_memory(known, RANKS, row["parameters"], Activations(Kept(0, 0), Kept(0, 0)))
        planned = memory.weights + memory.gathered + memory.gradients + memory.optimizer
        assert row["all"] == pytest.approx(planned / row["parameters"], rel=0.02), row
        if stage < 3:  # stage 3 keeps its own weights and float32 copies where only a sum finds them
            assert row["weights"] == pytest.approx(memory.weights / row["parameters"], rel=0.02), row
            assert row["optimizer"] == pytest.approx(memory.optimizer / row["parameters"], rel=0.02), row
