"""AdamW with the paper's decay, and the learning rate of every step."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aimv2_lab.recipes import TrainingRecipe

_NOT_DECAYED = ("positions", "start")  # position tables and the start vector, beside every vector parameter


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay applies: not to biases, norms, position tables and the start vector (released code)."""
    leaf = name.rsplit(".", maxsplit=1)[-1]
    return parameter.ndim > 1 and not leaf.endswith(_NOT_DECAYED)


def build_optimizer(model: nn.Module, training: TrainingRecipe) -> torch.optim.AdamW:
    """torch's AdamW with "fully decoupled" decay: every step multiplies weights by 1 - weight_decay * lr / peak_lr.

    torch multiplies by 1 - lr * decay, so the decay it is given is weight_decay / peak_lr. Source: paper, Table A1; the
    formula from the released training code.
    """
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if decays(n, p)], "weight_decay": training.weight_decay / training.peak_lr},
        {"params": [p for n, p in named if not decays(n, p)], "weight_decay": 0.0},
    ]
    fused = all(parameter.device.type in ("cpu", "cuda") for _, parameter in named)  # one kernel, not one per tensor
    return torch.optim.AdamW(groups, lr=training.peak_lr, betas=training.betas, eps=training.adam_eps, fused=fused)


def learning_rate(step: int, training: TrainingRecipe) -> float:
    """The rate of step 0, 1, …: a linear warm-up to the peak, then a cosine down to the minimum at the last step."""
    if step < training.warmup_steps:
        share = step / training.warmup_steps
        return training.warmup_start_lr + share * (training.peak_lr - training.warmup_start_lr)
    share = (step - training.warmup_steps) / max(training.steps - 1 - training.warmup_steps, 1)
    return training.min_lr + 0.5 * (training.peak_lr - training.min_lr) * (1 + math.cos(math.pi * min(share, 1.0)))
