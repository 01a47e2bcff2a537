"""Checkpoints: a model folder plus the optimizer's tensors and a readable state, committed by one rename.

Everything random is drawn from the position in the data, so weights, optimizer state and the number of steps done are
the whole state of a run.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from aimv2_lab.data.files import OLD, WRITING, move_into_place
from aimv2_lab.formats.folder import (
    CHECKPOINTS,
    MODEL_FILE,
    checkpoints,
    newest_checkpoint,
    read_tensors,
    save_weights,
)
from aimv2_lab.model.models import AnyModel
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.optimizers.building import state_names

OPTIMIZER_FILE, STATE_FILE = "optimizer.safetensors", "state.json"


def checkpoint_place(run: Path, step: int) -> Path:
    """Where a run keeps the checkpoint of a step."""
    return run / CHECKPOINTS / f"step-{step:08d}"


def save_checkpoint(run: Path, engine: Engine, state: Mapping[str, Any], kept: int) -> Path:
    """Write `checkpoints/step-N` and remove all but the newest `kept`; called by all ranks, the first one writes.

    The folder is written under another name, flushed to disk and renamed: it is there whole or not at all. A full disk
    raises OSError, or RankFailed where there are other ranks, and earlier checkpoints stay as they are.
    """
    final = checkpoint_place(run, engine.steps_done)
    writing = final.with_name(f"{WRITING}{final.name}")
    ranks = engine.ranks
    # One after the other, so that the first rank never holds both.
    ranks.on_first(partial(_written, writing, partial(_write_model, writing, engine.model.recipe, engine.weights())))
    ranks.on_first(partial(_written, writing, partial(save_file, engine.optimizer_state(), writing / OPTIMIZER_FILE)))
    about = json.dumps({"steps_done": engine.steps_done, **state}, indent=2) + "\n"
    ranks.on_first(partial(_written, writing, partial(_commit, writing, final, about, kept)))
    return final


def _write_model(writing: Path, recipe: AnyRecipe, weights: Mapping[str, Tensor]) -> None:
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    save_weights(writing, recipe, weights)


def _written(writing: Path, write: Callable[[], object]) -> None:
    """Write a part of a checkpoint; where that fails, all that was written of it goes."""
    try:
        write()
    except (OSError, SafetensorError) as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(writing, ignore_errors=True)
        last = newest_checkpoint(writing.parent.parent)
        raise OSError(f"could not write {writing}: {error}; the last good checkpoint is {last}") from error


def _commit(writing: Path, final: Path, about: str, kept: int) -> None:
    (writing / STATE_FILE).write_text(about)
    move_into_place(writing, final)
    _prune(final.parent.parent, kept)


def load_checkpoint(checkpoint: Path, engine: Engine) -> dict[str, Any]:
    """Put a checkpoint's weights, optimizer state and step count into the engine; returns its state record.

    Called by all ranks. Raises ValueError naming the file that is damaged, absent or of another version of this format.
    """
    state, weights, tensors = engine.ranks.together(partial(_read, checkpoint, engine.model))
    engine.restore(weights, tensors, state["steps_done"])
    return state


def _read(checkpoint: Path, model: AnyModel) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """A checkpoint's state, weights and optimizer tensors, compared with the model that they are meant for."""
    file = checkpoint / STATE_FILE
    try:
        state = json.loads(file.read_text())
        weights, tensors = (read_tensors(file := checkpoint / name) for name in (MODEL_FILE, OPTIMIZER_FILE))
    except (FileNotFoundError, json.JSONDecodeError) as error:
        raise _unusable(file, str(error)) from error
    if not isinstance(state, dict) or not isinstance(state.get("steps_done"), int):
        raise _unusable(checkpoint / STATE_FILE, "it has no number of steps_done")
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    _compare(checkpoint / MODEL_FILE, expected, {name: tensor.shape for name, tensor in weights.items()})
    # An optimizer has no state before the first step.
    optimized = dict.fromkeys(state_names(model, model.recipe.training) if state["steps_done"] else (), True)
    _compare(checkpoint / OPTIMIZER_FILE, optimized, {name.partition(".")[2]: True for name in tensors}, "state")
    return state, weights, tensors


def _compare(file: Path, expected: Mapping[str, object], found: Mapping[str, object], kind: str = "weight") -> None:
    """Raise ValueError unless a file has what is expected, and nothing else."""
    odd = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    if odd:
        more = f" and of {len(odd) - 3} more" if len(odd) > 3 else ""
        raise _unusable(file, f"the {kind} of {', '.join(odd[:3])}{more} is absent or not the model's")


def _unusable(file: Path, why: str) -> ValueError:
    return ValueError(
        f"{file} is no part of a checkpoint that this version can go on from: {why}. Remove {file.parent} to go on "
        "from the one before, or start a new run folder"
    )


def _prune(run: Path, kept: int) -> None:
    """Remove old checkpoints and what a killed save left; a folder is renamed first, so that none is half there."""
    for old in checkpoints(run)[:-kept]:
        os.replace(old, old.with_name(f"{OLD}{old.name}"))
    for pattern in (f"{OLD}*", f"{WRITING}*"):
        for left in (run / CHECKPOINTS).glob(pattern):
            shutil.rmtree(left)
