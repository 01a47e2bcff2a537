"""Memory of one rank, by kind, under the local engine or DeepSpeed's ZeRO."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import PretrainingRecipe
from aimv2_lab.training.optimizers.building import state_bytes
from aimv2_lab.training.plan.activations import Activations
from aimv2_lab.training.sharded.config import deepspeed_config, micro_steps

# DeepSpeed's defaults (0.19) by its settings' names: gradients that are reduced at once, and parameters that stage 3
# may hold gathered.
AT_ONCE = {"reduce_bucket_size": 500_000_000, "stage3_max_live_parameters": 1_000_000_000}

MOMENTS, MASTER = 8, 4  # bytes per parameter: Adam's two means, and ZeRO's float32 copy, which it keeps of float32 too


class RankMemory(NamedTuple):
    """Bytes on one rank's GPU by kind, and on its host."""

    weights: int
    gathered: int  # stage 3: weights of other ranks while they are used
    gradients: int
    optimizer: int
    communication: int
    batch: int
    activations: int
    peak: int
    host: int


def parameter_count(recipe: PretrainingRecipe) -> int:
    """Learned numbers of the model."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in model_of(recipe).parameters())


def optimizer_bytes(recipe: PretrainingRecipe) -> int:
    """What the recipe's optimizer keeps of all parameters in float32, before ZeRO shares it out."""
    with torch.device("meta"):
        named = model_of(recipe).named_parameters()
    return sum(state_bytes(name, parameter, recipe.training) for name, parameter in named)


def rank_memory(
    recipe: PretrainingRecipe, ranks: int, parameters: int, activations: Activations, state: int | None = None
) -> RankMemory:
    """What each of `ranks` ranks holds; stage 0 on one rank is the local engine.

    `state` is what `optimizer_bytes` gives, by default Adam's two means. Checked against DeepSpeed's own tensors on two
    CPU ranks (stages 0 to 3). Offloaded gradients are counted on the GPU still. Raises ValueError for a batch that
    cannot be cut into ranks x micro-batches, and what `deepspeed_config` does.
    """
    engine, stage = recipe.engine, recipe.engine.zero_stage
    zero = AT_ONCE | deepspeed_config(recipe, ranks)["zero_optimization"]
    adds_up = micro_steps(recipe, ranks) > 1
    size = 2 if engine.weights == "bfloat16" else 4
    weights = size * parameters // (ranks if stage == 3 else 1)
    gathered = size * min(parameters, zero["stage3_max_live_parameters"]) if stage == 3 else 0
    gradients = _gradients(recipe, ranks, parameters)
    state = MOMENTS * parameters if state is None else state
    optimizer = (state + MASTER * parameters) // ranks if stage else state
    kept = activations.recomputed if engine.activation_checkpointing else activations.whole
    held = kept.fixed + kept.per_picture * recipe.training.micro_batch_size
    communication = size * _buckets(recipe, zero)
    batch = _batch(recipe, ranks)
    host = (optimizer if engine.offload != "none" else 0) + (weights if engine.offload == "all" else 0)
    optimizer = 0 if engine.offload != "none" else optimizer
    weights = 0 if engine.offload == "all" else weights
    # Activations are freed while gradients are made: only those of earlier micro-batches stand beside them, and what
    # DeepSpeed adds them up in.
    adds_up = adds_up or (stage == 1 and engine.weights == "bfloat16")
    both = gradients + held if adds_up else max(gradients, held)
    peak = weights + gathered + optimizer + communication + batch + both
    return RankMemory(weights, gathered, gradients, optimizer, communication, batch, held, peak, host)


def _gradients(recipe: PretrainingRecipe, ranks: int, parameters: int) -> int:
    stage, half = recipe.engine.zero_stage, recipe.engine.weights == "bfloat16"
    if stage >= 2:
        return (2 if half else 4) * parameters // ranks
    return (6 if half else 4) * parameters  # bfloat16 at stage 1 is added up in float32 beside it


def _buckets(recipe: PretrainingRecipe, zero: dict[str, Any]) -> int:
    """Gradients in the buckets that ZeRO copies them to in order to reduce them; bfloat16's stage 1 and stage 0 do so
    after the backward pass.

    Two buckets at stages 1 and 2 with overlap_comm, none without contiguous_gradients. Source: DeepSpeed 0.19's code.
    """
    stage = recipe.engine.zero_stage
    if stage == 0 or (stage == 1 and recipe.engine.weights == "bfloat16"):
        return 0
    if not zero.get("contiguous_gradients", True) and (stage == 3 or recipe.engine.offload == "none"):
        return 0
    return int(zero["reduce_bucket_size"]) * (2 if stage < 3 and zero.get("overlap_comm") else 1)


def _batch(recipe: PretrainingRecipe, ranks: int) -> int:
    """A rank's part of the batch, and of it a micro-batch: its copy, and its normalised pictures.

    In float32 these are kept for the backward pass, and among the activations.
    """
    training, pixels = recipe.training, 3 * recipe.encoder.image_size**2
    pair = pixels + 8 * (recipe.text_tokens + 1)  # 8-bit pixels, tokens and a prefix length
    part, micro = training.batch_size // ranks, training.micro_batch_size
    normalised = 4 * pixels if training.precision == "bfloat16" else 0
    return pair * (part + (micro if micro < part else 0)) + normalised * micro
