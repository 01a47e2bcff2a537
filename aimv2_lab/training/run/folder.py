"""The run folder: what a run was told, what it measured, and where it stands.

recipe.json        the resolved recipe
environment.json   versions and machine
data.json          what the data of both splits were: sources, weights, sizes, fingerprints, version of the order
tokenizer/         the tokenizer, loadable by transformers; not where the recipe reads no text, or labels
metrics.jsonl      one record per logged step, and one per validation
tensorboard/       the same for TensorBoard
deepspeed-N.json   the user's own DeepSpeed settings, where a start after N steps had any
damage.jsonl       training pairs that had to be replaced, and why; damage_validation.jsonl likewise
run.lock           empty; held by the process that trains
checkpoints/       step-N folders
model/             of a finished fine-tuning: the whole model in plain weights, LoRA merged
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from aimv2_lab.data.classes import ClassTokenizer
from aimv2_lab.data.files import WRITING, written_aside
from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.fields import leaves
from aimv2_lab.formats.folder import RECIPE_FILE, TOKENIZER, newest_checkpoint, read_recipe
from aimv2_lab.recipes import AnyRecipe, differences
from aimv2_lab.training.run.lock import LOCK_FILE

METRICS_FILE, DATA_FILE = "metrics.jsonl", "data.json"

# What a folder may hold whose run was killed before it had begun.
_STARTED_WITH = {TOKENIZER, DATA_FILE, LOCK_FILE, "environment.json"}

# Fields that may differ on resume, because they change nothing that is learned.
FREE_ON_RESUME = {
    "data.source",  # may have moved; data.json is compared instead
    "data.mixture",
    "data.workers",
    "data.damage_limit",
    "name",
    "start",  # may have moved; the checkpoint has its weights
    "teacher",
    "training.micro_batch_size",
    "training.loss_limit",
    "training.log_every",
    "training.validate_every",
    "training.validation_batches",
    "training.checkpoint_every",
    "training.checkpoints_kept",
    *(f"engine.{name}" for name in ("zero_stage", "activation_checkpointing", "compile", "offload", "deepspeed")),
}


def find_checkpoint(folder: Path, recipe: AnyRecipe, resume: bool) -> Path | None:
    """The checkpoint to go on from, None for a run from the start; nothing is written.

    Raises FileExistsError when the folder holds a run and `resume` is off, or something else, and ValueError when the
    run or its newest checkpoint has another recipe (the fields are listed).
    """
    if not is_run(folder):
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
        if others := {name for name in names - _STARTED_WITH if not name.startswith(WRITING)}:
            raise FileExistsError(f"{folder} holds no run but {min(others)}; choose another folder with --run")
        return None
    if not resume:
        raise FileExistsError(f"{folder} holds a run already; go on with --resume, or choose another with --run")
    checkpoint = newest_checkpoint(folder)
    for place in (folder, checkpoint):
        if place is not None:
            refuse_other_recipe(place / RECIPE_FILE, recipe)
    return checkpoint


def is_run(folder: Path) -> bool:
    """Whether a run was started there: its recipe is what is written last."""
    return (folder / RECIPE_FILE).exists()


def create_run(
    folder: Path, recipe: AnyRecipe, tokenizer: CaptionTokenizer | ClassTokenizer | None, data: Mapping[str, Any]
) -> None:
    """Write what a run starts with; the recipe comes last and at once, because it makes the folder a run."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{WRITING}*"):  # by one that was killed
        left.unlink()
    if isinstance(tokenizer, CaptionTokenizer):  # classes are in the recipe
        tokenizer.save(folder / TOKENIZER)
    (folder / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n")
    (folder / DATA_FILE).write_text(json.dumps(data, indent=2) + "\n")
    replace_text(folder / RECIPE_FILE, recipe.to_json())


def keep_deepspeed_file(folder: Path, recipe: AnyRecipe, steps_done: int) -> None:
    """Copy the file of `engine.deepspeed`, which may be another at every start: the steps from here ran with it."""
    if recipe.engine.deepspeed:
        replace_text(folder / f"deepspeed-{steps_done:08d}.json", Path(recipe.engine.deepspeed).read_text())


def replace_text(file: Path, text: str) -> None:
    """Give a file a new text; whoever is killed in between leaves the old one whole."""
    with written_aside(file) as aside:
        aside.write_text(text)


def refuse_other_recipe(file: Path, recipe: AnyRecipe) -> None:
    """Raise ValueError listing the fields in which a stored recipe differs, but for those free to change."""
    changed = differences(read_recipe(file), recipe)
    bad = {path: values for path, values in changed.items() if path not in FREE_ON_RESUME}
    if bad:
        rows = "; ".join(f"{path} was {old!r}, is {new!r}" for path, (old, new) in bad.items())
        raise ValueError(
            f"{file} is another recipe: {rows}. Resume with the old values, or start anew: with --run FOLDER, or after "
            f"removing {file.parent}"
        )


def refuse_other_data(folder: Path, data: Mapping[str, Any]) -> None:
    """Raise ValueError listing what was different when a run was started, where its data were not these."""
    _refuse_differences(folder, json.loads((folder / DATA_FILE).read_text()), data)


def refuse_other_state(
    checkpoint: Path, state: Mapping[str, Any], consumed_samples: int, data: Mapping[str, Any]
) -> None:
    """Raise ValueError where a checkpoint's state says it was reached after other samples, or on other data."""
    if state["consumed_samples"] != consumed_samples:
        raise ValueError(
            f"{checkpoint} was made after {state['consumed_samples']} samples, but its steps are {consumed_samples}: "
            "remove it, to go on from the one before it"
        )
    _refuse_differences(checkpoint, state["data"], data)


def _refuse_differences(place: Path, then: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    before, now = dict(leaves(then)), dict(leaves(data))
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if changed:
        rows = "; ".join(f"{name} was {before.get(name)}, is {now.get(name)}" for name in changed)
        raise ValueError(
            f"{place} was started on other data: {rows}. Resume with the data and the version of aimv2_lab it was "
            "started with, or start a new run folder"
        )


def environment() -> dict[str, Any]:
    """Versions and machine, for the record."""
    packages = ("torch", "numpy", "pillow", "datasets", "transformers", "tokenizers", "aimv2_lab")
    extras = [name for name in ("simplejpeg", "pytorch_optimizer", "peft") if find_spec(name)]
    cuda = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cuda_device": cuda,
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in (*packages, *extras)},
    }


class Metrics:
    """Appends records to metrics.jsonl and TensorBoard; on resume, drops what came after the checkpoint.

    With `writes` off, as on all ranks but the first, it takes the same calls and does nothing. As a context it closes
    its files, and where its body raised, that is what is heard of.
    """

    def __init__(self, folder: Path, steps_done: int, writes: bool = True) -> None:
        self.writes = writes
        if not writes:
            return
        file = folder / METRICS_FILE
        kept = "".join(json.dumps(row) + "\n" for row in read_metrics(folder) if row["step"] <= steps_done)
        if not file.exists() or file.read_text() != kept:
            replace_text(file, kept)
        self._file = file.open("a")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_done + 1)

    def write(self, kind: str, step: int, **values: float) -> None:
        """Record values after `step` updates; kind is "train" or "validation". Raises OSError with its file."""
        if not self.writes:
            return
        with self._named_errors():
            self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
            self._file.flush()
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close both files; raises OSError as `write` does."""
        if not self.writes:
            return
        with self._named_errors():
            self._file.close()
            self._board.close()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(OSError) if kind else nullcontext():
            self.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(f"could not write to {self._file.name} or tensorboard beside it: {error}") from error


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
