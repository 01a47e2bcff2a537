"""DeepSpeed's configuration of a recipe, and what a user's own file may add to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aimv2_lab.fields import leaves
from aimv2_lab.recipes import AnyRecipe

# Settings of DeepSpeed that the recipe has no field for and this code does itself: setting -> what to use instead.
NOT_DEEPSPEEDS = {
    "optimizer": "training.optimizer and its fields",
    "scheduler": "training.peak_lr, min_lr and warmup_steps",
    "fp16": "training.precision bfloat16",
    "amp": "training.precision bfloat16",
    "torch_autocast": "training.precision bfloat16 (with ZeRO stage 3 DeepSpeed's own resumes inexactly)",
    "activation_checkpointing": "engine.activation_checkpointing",
    "compile": "engine.compile",
    "curriculum_learning": "a recipe of its own",
    "data_efficiency": "a recipe of its own",
    "progressive_layer_drop": "a recipe of its own",
    "compression_training": "a recipe of its own",
    "tensor_parallel": "engine.zero_stage 3",
    "expert_parallel": "engine.zero_stage 3",
    "hybrid_engine": "load_model of the checkpoints, to generate",
    "aio": "engine.offload, which goes to the CPU's memory",
}

_SWITCHED_BY_THE_RECIPE = (
    "bf16.enabled",
    "data_types.grad_accum_dtype",
    "zero_optimization.offload_optimizer",
    "zero_optimization.offload_param",
)


def deepspeed_config(recipe: AnyRecipe, ranks: int) -> dict[str, Any]:
    """What DeepSpeed is told: the recipe's fields in its words, then what `engine.deepspeed` adds.

    Raises ValueError for a batch that cannot be cut into ranks x micro-batches, for a file that is no JSON object, and
    for settings in it that contradict the recipe or are not DeepSpeed's to make here; each is named.
    """
    training, engine = recipe.training, recipe.engine
    offload = {"device": "cpu", "pin_memory": True}
    zero: dict[str, Any] = {"stage": engine.zero_stage}
    if engine.offload != "none":
        zero["offload_optimizer"] = offload
    if engine.offload == "all":
        zero["offload_param"] = offload
    made: dict[str, Any] = {
        "train_batch_size": training.batch_size,
        "train_micro_batch_size_per_gpu": training.micro_batch_size,
        "gradient_accumulation_steps": micro_steps(recipe, ranks),
        "gradient_clipping": training.gradient_clip,
        "zero_optimization": zero,
        "gradient_allreduce_op": "mean",  # which the shares of the loss are made for
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # torch's AdamW does it, so that nothing need be compiled
        "steps_per_print": 10**9,  # the run folder has the metrics
    }
    if engine.weights == "bfloat16":
        made["bf16"] = {"enabled": True}
        if engine.zero_stage == 1:  # the stages above have no such choice
            made["data_types"] = {"grad_accum_dtype": "fp32"}
    return _with_users_settings(made, recipe) if engine.deepspeed else made


def micro_steps(recipe: AnyRecipe, ranks: int) -> int:
    """How many micro-batches each rank takes per step; raises ValueError where they do not come out whole."""
    batch, micro = recipe.training.batch_size, recipe.training.micro_batch_size
    if ranks < 1 or batch % (ranks * micro):
        fitting = [size for size in range(1, micro + 1) if batch % (max(ranks, 1) * size) == 0]
        remedy = f"training.micro_batch_size = {fitting[-1]}" if fitting else f"a multiple of {ranks} for the batch"
        raise ValueError(
            f"training.batch_size = {batch} cannot be cut into {ranks} ranks x training.micro_batch_size = {micro}: "
            f"choose {remedy}"
        )
    return batch // (ranks * micro)


def users_settings(recipe: AnyRecipe) -> dict[str, Any]:
    """What the file of `engine.deepspeed` says, but for "auto". Raises ValueError where it holds no JSON object."""
    file = recipe.engine.deepspeed
    try:
        users = json.loads(Path(file).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"engine.deepspeed = {file!r} is no JSON: {error}") from error
    if not isinstance(users, dict):
        raise ValueError(f"engine.deepspeed = {file!r} must hold a JSON object, not {type(users).__name__}")
    return _without_auto(users)


def _with_users_settings(made: Mapping[str, Any], recipe: AnyRecipe) -> dict[str, Any]:
    """`made` with the settings of the user's file beside it; "auto" stands for what the recipe says."""
    users = users_settings(recipe)
    wrong = [f"{name} (use {remedy})" for name, remedy in NOT_DEEPSPEEDS.items() if _is_asked_for(users.get(name))]
    for path, value in leaves(users):
        said = _value_at(made, path)
        if said is not None and value != said:
            wrong.append(f"{path} = {json.dumps(value)} where the recipe says {json.dumps(said)}")
    for path in _SWITCHED_BY_THE_RECIPE:
        if _is_asked_for(_value_at(users, path)) and _value_at(made, path) is None:
            wrong.append(f"{path}, which the recipe leaves off (engine.weights, engine.offload)")
    if wrong:
        raise ValueError(
            f"engine.deepspeed = {recipe.engine.deepspeed!r} conflicts with the recipe: {'; '.join(wrong)}"
        )
    return _joined(users, made)


def _is_asked_for(value: Any) -> bool:
    """Whether a setting switches something on."""
    if isinstance(value, Mapping):
        return bool(value.get("enabled", True)) and value.get("device", "cpu") not in (None, "none")
    return bool(value)


def _value_at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _without_auto(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say something: what is "auto" says nothing, and no more does a group of such."""
    said = {name: _without_auto(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    return {name: value for name, value in said.items() if value != "auto" and (value != {} or values[name] == {})}


def _joined(users: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Both, ours where both speak; they agree there."""
    both = {**users, **ours}
    for name, value in users.items():
        if isinstance(value, Mapping) and isinstance(ours.get(name), Mapping):
            both[name] = _joined(value, ours[name])
    return both
