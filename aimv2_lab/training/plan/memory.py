"""Memory of one rank, by kind, under the local engine or DeepSpeed's ZeRO."""

from __future__ import annotations

from typing import NamedTuple

import torch

from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import PretrainingRecipe
from aimv2_lab.training.deepspeed_config import micro_steps
from aimv2_lab.training.plan.activations import Activations

# DeepSpeed's defaults (0.19): gradients that are reduced at once, and parameters that stage 3 may hold gathered.
REDUCED_AT_ONCE = 500_000_000
GATHERED_AT_ONCE = 1_000_000_000

MOMENTS, MASTER = 8, 4  # bytes per parameter: Adam's two means, and ZeRO's float32 copy, which it keeps of float32 too


class RankMemory(NamedTuple):
    """Bytes on one rank's GPU by kind, and on its host."""

    weights: int
    gathered: int  # stage 3: weights of other ranks while they are used
    gradients: int
    optimizer: int
    communication: int
    activations: int
    peak: int
    host: int


def parameter_count(recipe: PretrainingRecipe) -> int:
    """Learned numbers of the model."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in model_of(recipe).parameters())


def rank_memory(recipe: PretrainingRecipe, ranks: int, parameters: int, activations: Activations) -> RankMemory:
    """What each of `ranks` ranks holds; stage 0 on one rank is the local engine.

    Checked against DeepSpeed's own tensors on two CPU ranks (stages 0 to 3). Offloaded gradients are counted on the GPU
    still. Raises ValueError for a batch that cannot be cut into ranks x micro-batches.
    """
    engine, stage = recipe.engine, recipe.engine.zero_stage
    adds_up = micro_steps(recipe, ranks) > 1
    size = 2 if engine.weights == "bfloat16" else 4
    weights = size * parameters // (ranks if stage == 3 else 1)
    gathered = size * min(parameters, GATHERED_AT_ONCE) if stage == 3 else 0
    gradients = _gradients(recipe, ranks, parameters)
    optimizer = (MOMENTS + MASTER) * parameters // ranks if stage else MOMENTS * parameters
    kept = activations.recomputed if engine.activation_checkpointing else activations.whole
    held = kept.fixed + kept.per_picture * recipe.training.micro_batch_size
    communication = size * REDUCED_AT_ONCE if _has_buckets(recipe) else 0
    host = (optimizer if engine.offload != "none" else 0) + (weights if engine.offload == "all" else 0)
    optimizer = 0 if engine.offload != "none" else optimizer
    weights = 0 if engine.offload == "all" else weights
    # Activations are freed while gradients are made: only those of earlier micro-batches stand beside them, and what
    # DeepSpeed adds them up in.
    adds_up = adds_up or (stage == 1 and engine.weights == "bfloat16")
    both = gradients + held if adds_up else max(gradients, held)
    peak = weights + gathered + optimizer + communication + both
    return RankMemory(weights, gathered, gradients, optimizer, communication, held, peak, host)


def _gradients(recipe: PretrainingRecipe, ranks: int, parameters: int) -> int:
    stage, half = recipe.engine.zero_stage, recipe.engine.weights == "bfloat16"
    if stage >= 2:
        return (2 if half else 4) * parameters // ranks
    return (6 if half else 4) * parameters  # bfloat16 at stage 1 is added up in float32 beside it


def _has_buckets(recipe: PretrainingRecipe) -> bool:
    """Whether ZeRO copies gradients to a bucket to reduce them; bfloat16's stage 1 and stage 0 do so after backward."""
    stage = recipe.engine.zero_stage
    return stage >= 2 or (stage == 1 and recipe.engine.weights == "float32")
