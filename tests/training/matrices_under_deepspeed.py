"""Prints, as JSON, what SOAP and Muon do under DeepSpeed; DeepSpeed takes a whole process."""

from __future__ import annotations

import json
from typing import Any

import torch

from aimv2_lab.recipes import Recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.optimizers.matrix_optimizer import MatrixOptimizer
from aimv2_lab.training.sharded.engine import DeepSpeedEngine, start_ranks
from aimv2_lab.training.step import loss_counts, train_step
from tests.training.toy import SMALL, random_batch

STEPS = 3


def losses(engine: Any, recipe: Recipe) -> list[float]:
    """The losses of some steps on noise."""
    batches = [random_batch(step) for step in range(STEPS)]
    return [train_step(engine, batch, loss_counts(batch, recipe), recipe).total.item() for batch in batches]


def refusal(recipe: Recipe, engine: Any) -> str:
    """What an engine for ZeRO stage 1 raises when it is made."""
    sharded = recipe.change({"engine.zero_stage": 1})
    try:
        DeepSpeedEngine(build_model(recipe), sharded, engine.ranks)
    except ValueError as error:
        return str(error)
    return "nothing"


def past_the_check(recipe: Recipe, engine: Any) -> str:
    """What the first step under ZeRO stage 1 raises where the recipe is not asked."""
    unchecked = DeepSpeedEngine(build_model(recipe), recipe, engine.ranks)
    unchecked.config["zero_optimization"]["stage"] = 1
    try:
        losses(unchecked, recipe)
    except ValueError as error:
        return str(error)
    return "nothing"


def report(name: str, ranks: Any) -> dict[str, Any]:
    """One optimizer: its losses here and there, the tensors it steps on, and what it is refused with."""
    recipe = SMALL.change({"training.optimizer": name, "engine.zero_stage": 0})
    engine = DeepSpeedEngine(build_model(recipe), recipe, ranks)
    alone = LocalEngine(build_model(recipe), recipe.training, torch.device("cpu"))
    under, local = losses(engine, recipe), losses(alone, recipe)
    optimizer = engine.wrapped.optimizer
    assert isinstance(optimizer, MatrixOptimizer)
    state = optimizer.matrix_method.state
    return {
        "losses": [under, local],
        "axes": sorted({tensor.ndim for tensor in state}),
        "bases": [[list(basis.shape) for basis in kept.get("Q", [])] for kept in state.values()],
        "shapes": [list(tensor.shape) for tensor in state],
        "refused": refusal(recipe, engine),
        "past the check": past_the_check(recipe, engine),
    }


if __name__ == "__main__":
    found = start_ranks()
    print(json.dumps({name: report(name, found) for name in ("soap", "muon")}))
