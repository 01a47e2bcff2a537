"""The optimizer decays as the paper's does, and the schedule has the published shape."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe
from aimv2_lab.training.optimizers import build_optimizer, decays, learning_rate

TRAINING = recipe("aimv2-large-224").training


def test_schedule_warms_up_peaks_and_ends_at_the_minimum() -> None:
    rates = [learning_rate(step, TRAINING) for step in (0, 6_250, 12_500, 1_499_999)]
    assert rates == pytest.approx([1e-6, (1e-6 + 1e-3) / 2, 1e-3, 1e-5])


def test_schedule_falls_like_a_cosine() -> None:
    quarter = 12_500 + (1_500_000 - 1 - 12_500) / 4
    assert learning_rate(round(quarter), TRAINING) == pytest.approx(1e-5 + (1e-3 - 1e-5) * (1 + 0.5**0.5) / 2, rel=1e-4)


def test_decay_is_fully_decoupled_from_the_learning_rate() -> None:
    """With zero gradients a step at lr multiplies a matrix by exactly 1 - weight_decay * lr / peak_lr."""
    training = replace(TRAINING, weight_decay=0.01, peak_lr=1e-3)
    model = nn.Linear(3, 2, bias=False)
    before = model.weight.detach().clone()
    optimizer = build_optimizer(model, training)
    for group in optimizer.param_groups:
        group["lr"] = 2.5e-4
    model.weight.grad = torch.zeros_like(model.weight)
    optimizer.step()
    torch.testing.assert_close(model.weight.detach(), before * (1 - 0.01 * 0.25))


def test_vectors_positions_and_start_are_not_decayed() -> None:
    model = AIMv2(recipe("small", {"encoder.depth": 2, "decoder.depth": 2}))  # with a learned position table
    spared = {name for name, parameter in model.named_parameters() if not decays(name, parameter)}
    assert {"encoder.positions", "decoder.text_positions", "decoder.start", "encoder.patch_projection.bias"} <= spared
    assert "decoder.token_table.weight" not in spared
    assert "encoder.blocks.0.attention.qkv.weight" not in spared
    assert all("norm" in name or "bias" in name or name.endswith(("positions", "start")) for name in spared)


def test_every_parameter_is_optimized_once() -> None:
    model = AIMv2(recipe("tiny"))
    groups = build_optimizer(model, TRAINING).param_groups
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())
