"""An optimizer's state goes through flat tensors and comes back bit by bit, whatever kinds of values it has."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from pytorch_optimizer import SOAP
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aimv2_lab.recipes import recipe
from aimv2_lab.training.optimizers.building import build_adamw, build_optimizer, state_names
from aimv2_lab.training.optimizers.matrix_optimizer import MatrixOptimizer
from aimv2_lab.training.optimizers.state import optimizer_tensors, restore_optimizer
from tests.training.optimizers.test_matrix_optimizer import new_model, stepped, training_with


def through_a_file(tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    save_file(tensors, folder / "state.safetensors")
    return load_file(folder / "state.safetensors")


@pytest.mark.parametrize("name", ["adamw", "soap", "muon"])
def test_a_restored_optimizer_goes_on_bit_by_bit(name: str, tmp_path: Path) -> None:
    model = new_model()
    optimizer = build_optimizer(model, training_with(name))
    stepped(model, optimizer, 13)
    other = new_model()
    restored = build_optimizer(other, training_with(name))
    stepped(other, restored, 3)  # has a state of its own, which must go
    other.load_state_dict(model.state_dict())
    restore_optimizer(restored, other, through_a_file(optimizer_tensors(optimizer, model), tmp_path))
    stepped(model, optimizer, 12)
    stepped(other, restored, 12)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", ["adamw", "soap", "muon"])
def test_what_has_a_state_is_known_beforehand(name: str) -> None:
    """So that a checkpoint can be compared with the model that it is meant for."""
    model = new_model()
    model.get_parameter("blocks.0.feed_forward.up.weight").requires_grad_(False)
    optimizer = build_optimizer(model, training_with(name))
    stepped(model, optimizer, 2)
    found = {full_name.partition(".")[2] for full_name in optimizer_tensors(optimizer, model)}
    assert found == {*state_names(model, training_with(name))}


def test_matrices_lie_in_memory_as_they_did(tmp_path: Path) -> None:
    """Which way decides how products round on some devices, so that more than values must come back."""
    model = new_model()
    optimizer, restored = (build_optimizer(model, training_with("soap")) for _ in range(2))
    assert isinstance(optimizer, MatrixOptimizer) and isinstance(restored, MatrixOptimizer)
    stepped(model, optimizer, 13)
    restore_optimizer(restored, model, through_a_file(optimizer_tensors(optimizer, model), tmp_path))
    views = [
        [view for group in o.matrix_method.param_groups for view in group["params"]] for o in (optimizer, restored)
    ]
    before, after = (
        [matrix.stride() for view in found for kind in ("GG", "Q") for matrix in o.matrix_method.state[view][kind]]
        for o, found in zip((optimizer, restored), views, strict=True)
    )
    assert before == after
    assert any(first < second for first, second in before)  # some lie column by column


def test_restoring_copies() -> None:
    model = new_model()
    optimizer, restored = (build_optimizer(model, training_with("adamw")) for _ in range(2))
    stepped(model, optimizer, 2)
    tensors = optimizer_tensors(optimizer, model)
    before = {name: value.clone() for name, value in tensors.items()}
    restore_optimizer(restored, model, tensors)
    stepped(model, restored, 2)
    assert all(torch.equal(value, before[name]) for name, value in tensors.items())


def test_names_say_which_state_of_which_matrix() -> None:
    model = new_model()
    optimizer = build_optimizer(model, training_with("soap"))
    stepped(model, optimizer, 2)
    tensors = optimizer_tensors(optimizer, model)
    query = {name.split(".")[0].split(":")[0] for name in tensors if name.endswith("0.attention.qkv.weight.q")}
    assert query == {"step", "exp_avg", "exp_avg_sq", "GG", "Q", "precondition_frequency", "shampoo_beta"}
    assert tensors["GG:0.blocks.0.feed_forward.up.weight"].shape == (12, 12)
    assert tensors["exp_avg.blocks.0.attention_norm.weight"].shape == (8,)


def test_a_side_too_long_to_precondition_comes_back_as_that(tmp_path: Path) -> None:
    def one_sided(model: nn.Module) -> MatrixOptimizer:
        named = dict(model.named_parameters())
        matrices = {name: parameter for name, parameter in named.items() if parameter.ndim == 2}
        rest = build_adamw({n: p for n, p in named.items() if n not in matrices}, recipe("tiny").training)
        return MatrixOptimizer(matrices, lambda views: SOAP(views, max_precondition_dim=10), rest)

    model = new_model()
    optimizer = one_sided(model)
    stepped(model, optimizer, 3)
    other = deepcopy(model)
    restored = one_sided(other)
    restore_optimizer(restored, other, through_a_file(optimizer_tensors(optimizer, model), tmp_path))
    stepped(model, optimizer, 12)
    stepped(other, restored, 12)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), other.parameters(), strict=True))
