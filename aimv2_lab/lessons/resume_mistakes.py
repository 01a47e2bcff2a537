"""Ways to go on from a checkpoint that are nearly right: each forgets one part of a run's state."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from aimv2_lab.recipes import Recipe
from aimv2_lab.training.engine import LocalEngine, pick_device
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.run.checkpoint import load_checkpoint

Forgotten = Literal["nothing", "Adam's averages", "the step"]


def resumed(checkpoint: Path, recipe: Recipe, forgets: Forgotten = "nothing") -> LocalEngine:
    """An engine with a checkpoint's state, but for what is forgotten.

    Without Adam's averages the optimizer begins as in a new run. Without the step the schedule does; who gives the
    batches' first position to the loop still gets the right data. Raises ValueError for another part.
    """
    if forgets not in get_args(Forgotten):
        raise ValueError(f"forgets = {forgets!r}; the parts are {', '.join(get_args(Forgotten))}")
    engine = LocalEngine(build_model(recipe), recipe.training, pick_device())
    load_checkpoint(checkpoint, engine)
    if forgets == "Adam's averages":
        engine.optimizer.state.clear()
    if forgets == "the step":
        engine.steps_done = 0
    return engine
