"""The recipe's optimizer with the paper's decay, and the learning rate of every step."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aimv2_lab.model.classifier import Classifier
from aimv2_lab.recipes import AnyRecipe, FinetuneRecipe, TrainingRecipe
from aimv2_lab.training.optimizers.matrix_methods import LONGEST_SIDE, build_matrix_method, soap_class
from aimv2_lab.training.optimizers.matrix_optimizer import MatrixOptimizer, is_hidden_matrix, parts_of

RATE_FACTOR = "rate_factor"  # of a parameter group
_NOT_DECAYED = ("positions", "start")  # position tables and the start vector, beside every vector parameter


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay applies: not to biases, norms, position tables and the start vector (released code)."""
    leaf = name.rsplit(".", maxsplit=1)[-1]
    return parameter.ndim > 1 and not leaf.endswith(_NOT_DECAYED)


def build_optimizer(model: nn.Module, training: TrainingRecipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over all that is trained: AdamW, or SOAP or Muon for hidden matrices and AdamW else.

    Raises ValueError where SOAP or Muon finds no matrix, ImportError where SOAP's library is missing.
    """
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if isinstance(model, Classifier):
        return build_adamw(named, training, {name: rate_factor(name, model.recipe) for name in named})
    if training.optimizer == "adamw":
        return build_adamw(named, training)
    matrices = {name: parameter for name, parameter in named.items() if is_hidden_matrix(name, parameter)}
    rest = {name: parameter for name, parameter in named.items() if name not in matrices}
    return MatrixOptimizer(
        matrices,
        lambda views: build_matrix_method(views, training, torch_decay(training)),
        build_adamw(rest, training),
    )


def build_adamw(
    named: Mapping[str, nn.Parameter], training: TrainingRecipe, rate_factors: Mapping[str, float] | None = None
) -> torch.optim.AdamW:
    """torch's AdamW, fused where it can be, over named parameters in two groups: decayed and not decayed.

    With `rate_factors`, of the parameters by name, in two for each factor, empty ones left out.
    """
    factors = rate_factors or dict.fromkeys(named, 1.0)
    groups = [
        {"params": found, "weight_decay": torch_decay(training) if decayed else 0.0, RATE_FACTOR: factor}
        for factor in sorted(set(factors.values()) or {1.0}, reverse=True)
        for decayed in (True, False)
        if (found := [p for n, p in named.items() if decays(n, p) is decayed and factors[n] == factor])
        or not rate_factors
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


def rate_factor(name: str, recipe: FinetuneRecipe) -> float:
    """What a parameter's learning rate, and with it its weight decay, is multiplied by (BEiT).

    layer_decay ** (N - i) for block i of N, counted from 0, layer_decay ** (N + 1) for what stands before the blocks, 1
    for the final norm, pooling and head; 1 for all unless `method` is "full".
    """
    place = name.split(".")
    if recipe.method != "full" or place[0] != "encoder" or place[1] == "norm":
        return 1.0
    block = int(place[2]) + 1 if place[1] == "blocks" else 0
    return recipe.layer_decay ** (recipe.encoder.depth + 1 - block)


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, training: TrainingRecipe) -> None:
    """Give every group the rate of step 0, 1, …, multiplied by its own factor where it has one."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, training) * group.get(RATE_FACTOR, 1.0)


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
    """Raise ValueError for SOAP or Muon under a ZeRO stage that flattens matrices; for runs under DeepSpeed. Raise
    ImportError where SOAP's library is missing.

    There a library's SOAP runs on as plain Adam without a word, and Muon stops at its first matrix.
    """
    optimizer, stage = recipe.training.optimizer, recipe.engine.zero_stage
    if optimizer != "adamw" and stage != 0:
        raise ValueError(
            f"training.optimizer = {optimizer!r} with engine.zero_stage = {stage}: ZeRO 1 … 3 flattens the matrices "
            "that it preconditions. Set engine.zero_stage 0, or training.optimizer adamw"
        )
    if optimizer == "soap":
        soap_class()


def learning_rate(step: int, training: TrainingRecipe) -> float:
    """The rate of step 0, 1, …: a linear warm-up to the peak, then a cosine down to the minimum at the last step."""
    if step < training.warmup_steps:
        share = step / training.warmup_steps
        return training.warmup_start_lr + share * (training.peak_lr - training.warmup_start_lr)
    share = (step - training.warmup_steps) / max(training.steps - 1 - training.warmup_steps, 1)
    return training.min_lr + 0.5 * (training.peak_lr - training.min_lr) * (1 + math.cos(math.pi * min(share, 1.0)))
