"""The optimizer decays as the paper's does, and the schedule has the published shape."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.layers import Block
from aimv2_lab.recipes import OptimizerName, TrainingRecipe, recipe
from aimv2_lab.training.optimizers.building import build_optimizer, check_matrix_optimizer, decays, learning_rate

TRAINING = recipe("aimv2-large-224").training
OPTIMIZERS = get_args(OptimizerName)


def test_schedule_warms_up_peaks_and_ends_at_the_minimum() -> None:
    rates = [learning_rate(step, TRAINING) for step in (0, 6_250, 12_500, 1_499_999)]
    assert rates == pytest.approx([1e-6, (1e-6 + 1e-3) / 2, 1e-3, 1e-5])


def test_schedule_falls_like_a_cosine() -> None:
    quarter = 12_500 + (1_500_000 - 1 - 12_500) / 4
    assert learning_rate(round(quarter), TRAINING) == pytest.approx(1e-5 + (1e-3 - 1e-5) * (1 + 0.5**0.5) / 2, rel=1e-4)


def kept_by_a_step(training: TrainingRecipe, rate: float) -> Tensor:
    """The share of every weight of a block's matrices that two steps at `rate` without gradients leave, per step.

    Two, because SOAP's first only looks at the gradients.
    """
    block = nn.ModuleDict({"blocks": nn.ModuleList([Block(8, 2, 16, 1e-5)])})
    matrices = [parameter for parameter in block.parameters() if parameter.ndim == 2]
    before = torch.cat([matrix.detach().flatten() for matrix in matrices])
    optimizer = build_optimizer(block, training)
    for group in optimizer.param_groups:
        group["lr"] = rate
    for _ in range(2):
        for parameter in block.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    steps = 1 if training.optimizer == "soap" else 2
    return (torch.cat([matrix.detach().flatten() for matrix in matrices]) / before) ** (1 / steps)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_decay_is_fully_decoupled_from_the_learning_rate(optimizer: OptimizerName) -> None:
    """Without gradients a step at lr multiplies a matrix by exactly 1 - weight_decay * lr / peak_lr."""
    training = replace(TRAINING, optimizer=optimizer, weight_decay=0.01, peak_lr=1e-3)
    kept = kept_by_a_step(training, rate=2.5e-4)
    torch.testing.assert_close(kept, torch.full_like(kept, 1 - 0.01 * 0.25))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_ordinary_decay_is_multiplied_by_the_learning_rate(optimizer: OptimizerName) -> None:
    training = replace(TRAINING, optimizer=optimizer, weight_decay=5.0, decay="ordinary", peak_lr=1e-3)
    kept = kept_by_a_step(training, rate=2.5e-4)
    torch.testing.assert_close(kept, torch.full_like(kept, 1 - 5.0 * 2.5e-4))


def test_adamw_is_fused() -> None:
    assert all(group["fused"] for group in build_optimizer(AIMv2(recipe("tiny")), TRAINING).param_groups)


def test_vectors_positions_and_start_are_not_decayed() -> None:
    model = AIMv2(recipe("small", {"encoder.depth": 2, "decoder.depth": 2}))  # with a learned position table
    spared = {name for name, parameter in model.named_parameters() if not decays(name, parameter)}
    assert {"encoder.positions", "decoder.text_positions", "decoder.start", "encoder.patch_projection.bias"} <= spared
    assert "decoder.token_table.weight" not in spared
    assert "encoder.blocks.0.attention.qkv.weight" not in spared
    assert all("norm" in name or "bias" in name or name.endswith(("positions", "start")) for name in spared)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_parameter_is_optimized_once(optimizer: OptimizerName) -> None:
    model = AIMv2(recipe("tiny"))
    groups = build_optimizer(model, replace(TRAINING, optimizer=optimizer)).param_groups
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("optimizer", ["soap", "muon"])
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_matrix_methods_are_refused_where_zero_flattens_matrices(optimizer: str, stage: int) -> None:
    refused = recipe("tiny", {"training.optimizer": optimizer, "engine.zero_stage": stage})
    message = f"training.optimizer = '{optimizer}' with engine.zero_stage = {stage}.* Set engine.zero_stage 0"
    with pytest.raises(ValueError, match=message):
        check_matrix_optimizer(refused)


def test_what_keeps_its_matrices_or_needs_none_is_not_refused() -> None:
    for changes in (
        {"training.optimizer": "adamw", "engine.zero_stage": 3},
        {"training.optimizer": "soap", "engine.zero_stage": 0},
        {"training.optimizer": "muon", "engine.zero_stage": 0},
    ):
        check_matrix_optimizer(recipe("tiny", changes))
