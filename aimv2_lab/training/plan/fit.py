"""The smallest change of a recipe that makes it fit into a GPU's memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from aimv2_lab.recipes import PretrainingRecipe
from aimv2_lab.training.plan.activations import Activations
from aimv2_lab.training.plan.memory import rank_memory


def changes_that_fit(
    recipe: PretrainingRecipe,
    ranks: int,
    parameters: int,
    activations: Activations,
    room: float,
    state: int | None = None,
) -> dict[str, Any] | None:
    """The first changes in `possible_changes` whose peak is at most `room` bytes; {} if none is needed, None if none
    suffices.

    `state` as in `rank_memory`. Changes that the user's file of DeepSpeed's settings contradicts are left out. Raises
    what `rank_memory` does of the recipe as it is.
    """
    for changes in possible_changes(recipe):
        try:
            peak = rank_memory(recipe.change(changes), ranks, parameters, activations, state).peak
        except ValueError:
            if not changes or not recipe.engine.deepspeed:
                raise
            continue
        if peak <= room:
            return changes
    return None


def possible_changes(recipe: PretrainingRecipe) -> Iterator[dict[str, Any]]:
    """Changes in the order of what they cost, none first: smaller micro-batches, then recomputed blocks, then a higher
    ZeRO stage, then offload; each is tried with all of those before it. The order is our choice.

    SOAP and Muon stay at the stage they have: those above 0 flatten their matrices."""
    engine = recipe.engine
    micro_batches = _halves(recipe.training.micro_batch_size)
    recomputing = [engine.activation_checkpointing] + [True] * (not engine.activation_checkpointing)
    offloads = {"none": ("none", "optimizer", "all"), "optimizer": ("optimizer", "all"), "all": ("all",)}
    stages = range(engine.zero_stage, 4 if recipe.training.optimizer == "adamw" else engine.zero_stage + 1)
    for offload, stage, recompute, micro in product(offloads[engine.offload], stages, recomputing, micro_batches):
        if (offload == "all" and stage != 3) or (offload == "optimizer" and stage == 0):
            continue
        wanted: dict[str, Any] = {
            "training.micro_batch_size": (recipe.training.micro_batch_size, micro),
            "engine.activation_checkpointing": (engine.activation_checkpointing, recompute),
            "engine.zero_stage": (engine.zero_stage, stage),
            "engine.offload": (engine.offload, offload),
        }
        yield {path: new for path, (old, new) in wanted.items() if new != old}


def _halves(number: int) -> list[int]:
    """The number, half of it, and so on for as long as that is whole."""
    found = [number]
    while found[-1] % 2 == 0:
        found.append(found[-1] // 2)
    return found
