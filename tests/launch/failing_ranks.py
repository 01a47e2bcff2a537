"""One thing after the other goes wrong on two ranks, in one process each:  … -m tests.launch.failing_ranks FOLDER

FOLDER/RANK.json gets what each rank ended with in every case: the words or the number it would exit with.
"""

from __future__ import annotations

import errno
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch.utils.tensorboard import SummaryWriter

from aimv2_lab.data.batches import PairDataset, Sample
from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.launch.command import end_plainly
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training import loop
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.ranks import Ranks
from aimv2_lab.training.run import agreement, checkpoint
from aimv2_lab.training.sharded.engine import DeepSpeedEngine, start_ranks
from tests.training.traces import TRACED

SHORT = TRACED.change(
    {
        "data.source": "world:easy",
        "training.steps": 4,
        "training.batch_size": 8,
        "training.micro_batch_size": 4,
        "training.log_every": 1,
        "training.checkpoint_every": 2,
        "training.validation_batches": 1,
        "training.warmup_steps": 1,
    }
)
HOT = {"training.peak_lr": 1e12, "training.gradient_clip": 1e30, "training.steps": 9}
# Warmed up far beyond what it bears, the loss rises again after its first twenty steps.
JUMPY = {"training.peak_lr": 0.5, "training.loss_limit": 1.05, "training.steps": 60, "training.warmup_steps": 60}


class Cases:
    """Runs cases and keeps how they ended."""

    def __init__(self, folder: Path, ranks: Ranks) -> None:
        self.folder, self.ranks, self.second = folder, ranks, not ranks.is_first
        self.ended: dict[str, str | int | None] = {}

    def run(self, name: str, recipe: AnyRecipe = SHORT, resume: bool = False) -> None:
        """Train into the folder of that name."""
        try:
            end_plainly(lambda: self._train(recipe, self.folder / name, resume))
            self.ended[name] = None
        except SystemExit as stop:
            self.ended[name] = stop.code

    def _train(self, recipe: AnyRecipe, run: Path, resume: bool) -> None:
        engine = pretrain(recipe, run, resume, self.ranks, DeepSpeedEngine)
        assert isinstance(engine, DeepSpeedEngine)
        engine.wrapped.destroy()

    def on_second(self, name: str, changes: dict[str, Any]) -> None:
        """A case in which the second rank has other fields."""
        self.run(name, SHORT.change(changes) if self.second else SHORT)

    def damaged(self, name: str, file: str, damage: Callable[[Path], object]) -> None:
        """A case that resumes the good run with a file of its newest checkpoint damaged."""
        if not self.second:
            shutil.copytree(self.folder / "good", self.folder / name)
            shutil.rmtree(self.folder / name / "checkpoints/step-00000004")
            damage(self.folder / name / "checkpoints/step-00000002" / file)
        self.ranks.gather(None)  # wait for it
        self.run(name, resume=True)


def drop_half(file: Path) -> None:
    """Keep every second tensor."""
    tensors = load_file(file)
    save_file({name: tensors[name] for name in sorted(tensors)[::2]}, file)


def tear(file: Path) -> None:
    """Cut the file short."""
    with file.open("r+b") as opened:
        opened.truncate(1000)


def full_disk(*_: object) -> None:
    """What writing to a full disk raises."""
    raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def told_at_once() -> Iterator[Callable[[], bool]]:
    """A SIGTERM that is there before the first step."""
    yield lambda: True


def unreadable_from(position: int, training: bool) -> Callable[[PairDataset, int], Sample]:
    """Reading samples of one of the splits that fails after so many."""
    read = PairDataset.__getitem__

    def fail(dataset: PairDataset, global_position: int) -> Sample:
        if global_position >= position and dataset.training == training:
            raise OSError(errno.EIO, "Input/output error")
        return read(dataset, global_position)

    return fail


def read_slowly(dataset: PairDataset, global_position: int, read: Any = PairDataset.__getitem__) -> Sample:
    """Reading samples that takes far longer than a step."""
    time.sleep(0.05)
    sample: Sample = read(dataset, global_position)
    return sample


def run_cases(folder: Path) -> None:
    """Every case, in the same order on both ranks."""
    cases = Cases(folder, start_ranks())
    cases.run("good")
    cases.run("undivided", SHORT.change({"training.micro_batch_size": 8}))
    cases.on_second("recipes", {"training.seed": 1})
    cases.on_second("data", {"data.source": str(Path("data_samples/parquet").resolve())})
    cases.on_second("missing", {"data.source": "no/such/folder/here"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "code_digest", lambda: "other" if cases.second else "ours")
        cases.run("code")
    with pytest.MonkeyPatch.context() as patch:
        if cases.second:
            patch.setattr(CaptionTokenizer, "content", lambda _: b"other")
        cases.run("tokenizers")
    settings = folder / "refused.json"
    settings.write_text('{"zero_optimization": {"reduce_bucket": 5}}')
    cases.run("refused", SHORT.change({"engine.deepspeed": str(settings)}))
    cases.damaged("no state", "state.json", Path.unlink)
    cases.damaged("old state", "state.json", lambda file: file.write_text('{"step": 2}'))
    cases.damaged("torn weights", "model.safetensors", tear)
    cases.damaged("half the weights", "model.safetensors", drop_half)
    cases.damaged("no optimizer", "optimizer.safetensors", Path.unlink)
    cases.damaged("half the optimizer", "optimizer.safetensors", lambda file: save_file({}, file))
    with pytest.MonkeyPatch.context() as patch:
        calls = list[int]()

        def save_once(*arguments: Any) -> None:
            calls.append(1)
            (save_file if len(calls) == 1 else full_disk)(*arguments)

        patch.setattr(checkpoint, "save_file", save_once)
        cases.run("full disk")
    with pytest.MonkeyPatch.context() as patch:
        if cases.second:
            patch.setattr(PairDataset, "__getitem__", unreadable_from(16, training=True))
        cases.run("unreadable")
    with pytest.MonkeyPatch.context() as patch:
        if cases.second:
            patch.setattr(PairDataset, "__getitem__", unreadable_from(4, training=False))
        cases.run("unreadable held-out pairs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SummaryWriter, "add_scalar", full_disk)
        cases.run("full disk for metrics")
    with pytest.MonkeyPatch.context() as patch:
        if cases.second:
            patch.setattr(PairDataset, "__getitem__", read_slowly)
        cases.run("straggler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "stop_signal", told_at_once)
        cases.run("stopped before the first step")
    cases.ended["stopped"] = cases.ended["stopped before the first step"]
    cases.run("stopped before the first step", resume=True)
    cases.run("hot", SHORT.change(HOT))
    cases.run("jumpy", SHORT.change(JUMPY))
    (folder / f"{cases.ranks.rank}.json").write_text(json.dumps(cases.ended))


if __name__ == "__main__":
    run_cases(Path(sys.argv[1]))
