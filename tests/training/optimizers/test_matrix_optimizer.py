"""SOAP and Muon really see matrices, q, k and v apart; where they would not, nothing goes on in silence."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
from pytorch_optimizer import SOAP
from torch import Tensor, nn

from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.layers import Block
from aimv2_lab.recipes import TrainingRecipe, recipe
from aimv2_lab.training.optimizers.building import build_optimizer, torch_decay
from aimv2_lab.training.optimizers.matrix_methods import build_matrix_method
from aimv2_lab.training.optimizers.matrix_optimizer import MatrixOptimizer, is_hidden_matrix

NAMES = ("soap", "muon")
WIDTH, HIDDEN = 8, 12


def training_with(name: str) -> TrainingRecipe:
    return recipe("tiny", {"training.optimizer": name, "training.weight_decay": 0.01}).training


def new_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"blocks": nn.ModuleList([Block(WIDTH, 2, HIDDEN, 1e-5)])})


def gradients(model: nn.Module, steps: int) -> Iterator[None]:
    """Give every trained parameter a gradient, anew for each step."""
    draws = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for parameter in model.parameters():
            drawn = torch.randn(parameter.shape, generator=draws)
            parameter.grad = drawn if parameter.requires_grad else None
        yield


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in gradients(model, steps):
        optimizer.step()


def matrix_optimizer(model: nn.Module, name: str) -> MatrixOptimizer:
    optimizer = build_optimizer(model, training_with(name))
    assert isinstance(optimizer, MatrixOptimizer)
    return optimizer


@pytest.mark.parametrize("name", NAMES)
def test_only_matrices_reach_the_matrix_method_and_q_k_v_apart(name: str) -> None:
    optimizer = matrix_optimizer(new_model(), name)
    seen = [tuple(p.shape) for group in optimizer.matrix_method.param_groups for p in group["params"]]
    square, up, down = (WIDTH, WIDTH), (HIDDEN, WIDTH), (WIDTH, HIDDEN)
    assert sorted(seen) == sorted([square] * 4 + [up] * 2 + [down])


def test_soap_has_its_preconditioners() -> None:
    model = new_model()
    optimizer = matrix_optimizer(model, "soap")
    stepped(model, optimizer, 12)  # past the first renewal of the bases
    states = optimizer.matrix_method.state
    assert len(states) == 7
    for matrix, state in states.items():
        for side, statistics, basis in zip(matrix.shape, state["GG"], state["Q"], strict=True):
            assert statistics.shape == basis.shape == (side, side)
            torch.testing.assert_close(basis.T @ basis, torch.eye(side), rtol=0, atol=1e-5)
            assert (basis - torch.eye(side)).abs().max() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_fused_q_k_v_step_as_three_matrices_would(name: str) -> None:
    model = new_model()
    qkv = model.get_parameter("blocks.0.attention.qkv.weight")
    apart = [part.detach().clone() for part in qkv.chunk(3)]
    training = training_with(name)
    optimizer = matrix_optimizer(model, name)
    alone = build_matrix_method(apart, training, torch_decay(training))
    for _ in gradients(model, 25):
        assert qkv.grad is not None
        for part, gradient in zip(apart, qkv.grad.chunk(3), strict=True):
            part.grad = gradient.clone()
        optimizer.step()
        alone.step()
    torch.testing.assert_close(qkv.detach(), torch.cat(apart), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_the_rest_is_adamws(name: str) -> None:
    model, other = new_model(), new_model()
    stepped(model, matrix_optimizer(model, name), 5)
    stepped(other, build_optimizer(other, training_with("adamw")), 5)
    for (path, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs) == (mine.ndim == 1), path


def test_what_counts_as_a_hidden_matrix() -> None:
    model = AIMv2(recipe("small", {"encoder.depth": 1, "decoder.depth": 1}))
    left = {name for name, p in model.named_parameters() if p.ndim > 1 and not is_hidden_matrix(name, p)}
    tables = {"encoder.positions", "decoder.text_positions", "decoder.token_table.weight"}
    assert left == tables | {"encoder.patch_projection.weight", "decoder.pixel_head.weight", "decoder.text_head.weight"}
    silent = AIMv1(recipe("aim-tiny", {"encoder.depth": 1, "head.depth": 1}))
    left = {name for name, p in silent.named_parameters() if p.ndim > 1 and not is_hidden_matrix(name, p)}
    assert left == {"encoder.patch_projection.weight", "head.pixels.weight"}


@pytest.mark.parametrize("name", NAMES)
def test_groups_set_the_learning_rate(name: str) -> None:
    model = new_model()
    optimizer, before = matrix_optimizer(model, name), deepcopy(model.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    stepped(model, optimizer, 3)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_moves_is_still_trained(name: str) -> None:
    """What moving to a device does to parameters after the optimizer was built: same objects, other memory."""
    model, other = new_model(), new_model()
    optimizer = matrix_optimizer(model, name)
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    stepped(model, optimizer, 3)
    stepped(other, matrix_optimizer(other, name), 3)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_brings_everything_back(name: str) -> None:
    model = new_model()
    optimizer = matrix_optimizer(model, name)
    stepped(model, optimizer, 13)
    other = deepcopy(model)
    restored = matrix_optimizer(other, name)
    restored.load_state_dict(deepcopy(optimizer.state_dict()))
    stepped(model, optimizer, 12)
    stepped(other, restored, 12)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), other.parameters(), strict=True))


def adam_without_a_preconditioner(flat: Tensor, steps: list[Tensor], training: TrainingRecipe) -> Tensor:
    """Plain Adam over the steps after the first, which SOAP only looks at."""
    alone = nn.Parameter(flat.clone())
    adam = torch.optim.Adam([alone], lr=training.peak_lr, betas=training.betas, eps=1e-30)
    for gradient in steps[1:]:
        alone.grad = gradient.clone()
        adam.step()
    return alone.detach()


def test_the_trap_a_librarys_soap_is_plain_adam_on_a_flattened_matrix() -> None:
    training = training_with("soap")
    flat = nn.Parameter(torch.randn(48, generator=torch.Generator().manual_seed(0)))
    before = flat.detach().clone()
    steps = list(torch.randn(6, 48, generator=torch.Generator().manual_seed(1)))
    soap = SOAP([flat], lr=training.peak_lr, betas=training.betas, eps=1e-30, weight_decay=0.0)
    for gradient in steps:
        flat.grad = gradient.clone()
        soap.step()
    assert soap.state[flat]["GG"] == soap.state[flat]["Q"] == [[]]
    torch.testing.assert_close(flat.detach(), adam_without_a_preconditioner(before, steps, training))


def test_the_trap_torchs_muon_stops_at_a_flattened_matrix() -> None:
    with pytest.raises(ValueError, match="only supports 2D parameters"):
        build_matrix_method([torch.zeros(48)], training_with("muon"), 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_flattened_parameters_is_refused(name: str) -> None:
    flat = nn.ParameterDict({"weight": nn.Parameter(torch.zeros(48))})
    with pytest.raises(ValueError, match=r"no hidden matrix.* set engine.zero_stage 0"):
        build_optimizer(nn.ModuleDict({"blocks": flat}), training_with(name))


@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("name", NAMES)
def test_flattening_what_the_optimizer_holds_is_refused(name: str, place: int) -> None:
    """ZeRO puts one flat tensor in the place of each group's parameters."""
    model = new_model()
    optimizer = matrix_optimizer(model, name)
    group = optimizer.param_groups[place]
    group["params"] = [nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in group["params"]]))]
    with pytest.raises(ValueError, match=r"no longer hold the model's parameters: .* set engine.zero_stage 0"):
        stepped(model, optimizer, 1)
