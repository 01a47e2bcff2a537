"""The recipe's optimizer with the paper's decay, and the learning rate of every step."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aimv2_lab.recipes import AnyRecipe, TrainingRecipe
from aimv2_lab.training.matrix_methods import LONGEST_SIDE, build_matrix_method
from aimv2_lab.training.matrix_optimizer import MatrixOptimizer, is_hidden_matrix, parts_of

_NOT_DECAYED = ("positions", "start")  # position tables and the start vector, beside every vector parameter


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay applies: not to biases, norms, position tables and the start vector (released code)."""
    leaf = name.rsplit(".", maxsplit=1)[-1]
    return parameter.ndim > 1 and not leaf.endswith(_NOT_DECAYED)


def build_optimizer(model: nn.Module, training: TrainingRecipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over every parameter: AdamW, or SOAP or Muon for hidden matrices and AdamW for the rest.

    Raises ValueError where SOAP or Muon finds no matrix, ImportError where SOAP's library is missing.
    """
    named = dict(model.named_parameters())
    if training.optimizer == "adamw":
        return build_adamw(named, training)
    matrices = {name: parameter for name, parameter in named.items() if is_hidden_matrix(name, parameter)}
    rest = {name: parameter for name, parameter in named.items() if name not in matrices}
    return MatrixOptimizer(
        matrices,
        lambda views: build_matrix_method(views, training, torch_decay(training)),
        build_adamw(rest, training),
    )


def build_adamw(named: Mapping[str, nn.Parameter], training: TrainingRecipe) -> torch.optim.AdamW:
    """torch's AdamW, fused where it can be, over named parameters in two groups: decayed and not decayed."""
    groups = [
        {"params": [p for n, p in named.items() if decays(n, p)], "weight_decay": torch_decay(training)},
        {"params": [p for n, p in named.items() if not decays(n, p)], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in named.values())  # one kernel, not several per tensor
    return torch.optim.AdamW(groups, lr=training.peak_lr, betas=training.betas, eps=training.adam_eps, fused=fused)


def state_names(model: nn.Module, training: TrainingRecipe) -> list[str]:
    """What the optimizer keeps a state for, by the names that `optimizer_tensors` uses: every trained parameter.

    q, k and v are parameters of their own where SOAP or Muon has them.
    """
    names = []
    for name, parameter in model.named_parameters():
        whole = training.optimizer == "adamw" or not is_hidden_matrix(name, parameter)
        parts = ("",) if whole else parts_of(name)
        names += [f"{name}.{part}" if part else name for part in parts if parameter.requires_grad]
    return names


def state_bytes(name: str, parameter: Tensor, training: TrainingRecipe) -> int:
    """Bytes that the optimizer keeps for a parameter once it has stepped.

    AdamW has two means and a counter, Muon a momentum, SOAP two means and, for each side of each matrix, its
    statistics and their basis.
    """
    if training.optimizer == "adamw" or not is_hidden_matrix(name, parameter):
        return 2 * parameter.nbytes + 4
    if training.optimizer == "muon":
        return parameter.nbytes
    parts = len(parts_of(name))
    sides = (parameter.shape[0] // parts, parameter.shape[1])
    squares = parts * sum(side**2 for side in sides if side <= LONGEST_SIDE)
    return 2 * (parameter.nbytes + squares * parameter.itemsize)


def torch_decay(training: TrainingRecipe) -> float:
    """The decay to give torch's optimizers, which multiply weights by 1 - lr * decay at every step.

    "decoupled" multiplies by 1 - weight_decay * lr / peak_lr (paper, Table A1; the formula from the released training
    code), "ordinary" by 1 - weight_decay * lr (AIM v1).
    """
    return training.weight_decay / (training.peak_lr if training.decay == "decoupled" else 1.0)


def check_matrix_optimizer(recipe: AnyRecipe) -> None:
    """Raise ValueError for SOAP or Muon under a ZeRO stage that flattens matrices; for runs under DeepSpeed.

    There a library's SOAP runs on as plain Adam without a word, and Muon stops at its first matrix.
    """
    optimizer, stage = recipe.training.optimizer, recipe.engine.zero_stage
    if optimizer != "adamw" and stage != 0:
        raise ValueError(
            f"training.optimizer = {optimizer!r} with engine.zero_stage = {stage}: ZeRO 1 … 3 flattens the matrices "
            "that it preconditions. Set engine.zero_stage 0, or training.optimizer adamw"
        )


def learning_rate(step: int, training: TrainingRecipe) -> float:
    """The rate of step 0, 1, …: a linear warm-up to the peak, then a cosine down to the minimum at the last step."""
    if step < training.warmup_steps:
        share = step / training.warmup_steps
        return training.warmup_start_lr + share * (training.peak_lr - training.warmup_start_lr)
    share = (step - training.warmup_steps) / max(training.steps - 1 - training.warmup_steps, 1)
    return training.min_lr + 0.5 * (training.peak_lr - training.min_lr) * (1 + math.cos(math.pi * min(share, 1.0)))
