"""The run folder: what a run was told, what it measured, and where it stands.

recipe.json        the resolved recipe
environment.json   versions and machine
tokenizer/         the tokenizer, loadable by transformers
metrics.jsonl      one record per logged step, and one per validation
tensorboard/       the same for TensorBoard
damage.jsonl       pairs that had to be replaced, and why
checkpoints/       step-N folders
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.formats.folder import RECIPE_FILE, newest_checkpoint
from aimv2_lab.recipes import Recipe, differences

METRICS_FILE, TOKENIZER = "metrics.jsonl", "tokenizer"

# Fields that may differ on resume, because they change nothing that is learned.
_FREE_ON_RESUME = {
    "data.source",  # may have moved; its fingerprint is compared instead
    "data.workers",
    "training.log_every",
    "training.validate_every",
    "training.validation_batches",
    "training.checkpoint_every",
    "training.checkpoints_kept",
}


def find_checkpoint(folder: Path, recipe: Recipe, resume: bool) -> Path | None:
    """The checkpoint to go on from, None for a run from the start; nothing is written.

    Raises FileExistsError when the folder holds a run and `resume` is off, or something else, and ValueError when the
    run there has another recipe (the fields are listed).
    """
    if not (folder / RECIPE_FILE).exists():
        if folder.exists() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty and holds no run; choose another folder with --run")
        return None
    if not resume:
        raise FileExistsError(f"{folder} holds a run already; go on with --resume, or choose another with --run")
    refuse_other_recipe(folder / RECIPE_FILE, recipe)
    return newest_checkpoint(folder)


def create_run(folder: Path, recipe: Recipe, tokenizer: CaptionTokenizer) -> None:
    """Write what a run starts with; the recipe comes last, because it makes the folder a run."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(folder / TOKENIZER)
    (folder / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n")
    (folder / RECIPE_FILE).write_text(recipe.to_json())


def refuse_other_recipe(file: Path, recipe: Recipe) -> None:
    """Raise ValueError listing the fields in which a stored recipe differs, but for those free to change."""
    changed = differences(Recipe.from_json(file.read_text()), recipe)
    bad = {path: values for path, values in changed.items() if path not in _FREE_ON_RESUME}
    if bad:
        rows = "; ".join(f"{path} was {old!r}, is {new!r}" for path, (old, new) in bad.items())
        raise ValueError(f"{file} is another recipe: {rows}. Resume with the old values or start a new run folder.")


def environment() -> dict[str, Any]:
    """Versions and machine, for the record."""
    packages = ("torch", "numpy", "pillow", "datasets", "transformers", "tokenizers", "aimv2_lab")
    cuda = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cuda_device": cuda,
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in packages},
    }


class Metrics:
    """Appends records to metrics.jsonl and TensorBoard; on resume, drops what came after the checkpoint."""

    def __init__(self, folder: Path, steps_done: int) -> None:
        file = folder / METRICS_FILE
        kept = [row for row in read_metrics(folder) if row["step"] <= steps_done]
        file.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._file = file.open("a")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_done + 1)

    def write(self, kind: str, step: int, **values: float) -> None:
        """Record values measured after `step` updates; kind is "train" or "validation"."""
        self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        self._board.close()


def read_metrics(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The records of a run, all or of one kind; a torn last line, left by a killed run, is passed over."""
    file = folder / METRICS_FILE
    rows = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return [row for row in rows if kind is None or row["kind"] == kind]
