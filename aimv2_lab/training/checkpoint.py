"""Checkpoints: a model folder plus the optimizer's tensors and a readable state, committed by one rename.

Everything random is drawn from the position in the data, so weights, optimizer state and the number of steps done are
the whole state of a run.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from aimv2_lab.formats.folder import (
    CHECKPOINTS,
    MODEL_FILE,
    checkpoints,
    newest_checkpoint,
    read_tensors,
    save_model,
)
from aimv2_lab.training.engine import LocalEngine

OPTIMIZER_FILE, STATE_FILE = "optimizer.safetensors", "state.json"


def optimizer_tensors(engine: LocalEngine) -> dict[str, Tensor]:
    """The optimizer's state as flat tensors named `<state>.<parameter>`, e.g. `exp_avg.encoder.norm.weight`."""
    state = engine.optimizer.state
    return {
        f"{kind}.{name}": value.detach().cpu().contiguous()
        for name, parameter in engine.model.named_parameters()
        for kind, value in state[parameter].items()
    }


def restore_optimizer(engine: LocalEngine, tensors: Mapping[str, Tensor]) -> None:
    """Give the optimizer back the state that `optimizer_tensors` flattened.

    A fused optimizer has its step counters beside the parameters, another on the CPU.
    """
    fused = engine.optimizer.defaults["fused"]
    parameters = dict(engine.model.named_parameters())
    for name, value in tensors.items():
        kind, parameter_name = name.split(".", maxsplit=1)
        parameter = parameters[parameter_name]
        place = value if kind == "step" and not fused else value.to(parameter.device)
        engine.optimizer.state[parameter][kind] = place


def save_checkpoint(run: Path, engine: LocalEngine, state: Mapping[str, Any], kept: int) -> Path:
    """Write `checkpoints/step-N` and remove all but the newest `kept`.

    The folder is written under another name, flushed to disk and renamed: it is there whole or not at all. A full disk
    raises OSError, and earlier checkpoints stay as they are.
    """
    final = run / CHECKPOINTS / f"step-{engine.steps_done:08d}"
    writing = final.with_name(f"writing-{final.name}")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    try:
        save_model(writing, engine.model)
        save_file(optimizer_tensors(engine), writing / OPTIMIZER_FILE)
        (writing / STATE_FILE).write_text(json.dumps({"steps_done": engine.steps_done, **state}, indent=2) + "\n")
        for path in (*writing.iterdir(), writing):
            _flush(path)
    except (OSError, SafetensorError) as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(writing, ignore_errors=True)
        last = newest_checkpoint(run)
        raise OSError(f"could not write {final}: {error}; the last good checkpoint is {last}") from error
    if final.exists():
        shutil.rmtree(final)
    os.replace(writing, final)
    _flush(final.parent)
    _prune(run, kept)
    return final


def load_checkpoint(checkpoint: Path, engine: LocalEngine) -> dict[str, Any]:
    """Put a checkpoint's weights, optimizer state and step count into the engine; returns its state record."""
    engine.model.load_state_dict(read_tensors(checkpoint / MODEL_FILE))
    restore_optimizer(engine, read_tensors(checkpoint / OPTIMIZER_FILE))
    state = json.loads((checkpoint / STATE_FILE).read_text())
    engine.steps_done = state["steps_done"]
    return state


def _flush(path: Path) -> None:
    """Ask the file system to put a file or folder on disk now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _prune(run: Path, kept: int) -> None:
    """Remove old checkpoints and what a killed save left; a folder is renamed first, so that none is half there."""
    for old in checkpoints(run)[:-kept]:
        os.replace(old, old.with_name(f"old-{old.name}"))
    for pattern in ("old-*", "writing-*"):
        for left in (run / CHECKPOINTS).glob(pattern):
            shutil.rmtree(left)
