"""Traces of a very small run under one engine after the other, in one process:  python -m tests.training.traces FOLDER

Under torchrun all of them are of that many ranks. FOLDER/N-ranks.json gets what N ranks measured, FOLDER/N-ranks the
checkpoints that they saved; what others saved there before is gone on from. With --golden in FOLDER's place, the plain
engine's trace is stored as this platform's golden one.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed

from aimv2_lab.data.batches import PairDataset, Sample, batches
from aimv2_lab.recipes import AnyRecipe, Recipe
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.feed import Feed
from aimv2_lab.training.loop import build_model, local_engine
from aimv2_lab.training.ranks import ALONE, Ranks
from aimv2_lab.training.run.checkpoint import load_checkpoint, save_checkpoint
from aimv2_lab.training.run.validation import validation_losses
from aimv2_lab.training.step import StepResult, train_step
from tests.data.generated import Bytes, ListSource
from tests.training.toy import SMALL

Changes = Mapping[str, Any]

STEPS, SAVED_AT, RESUMED_TO, STEPS_IN_HALF = 50, 10, 15, 20

TRACED = SMALL.change(
    {
        "encoder.image_size": 32,
        "encoder.patch_size": 8,
        "encoder.depth": 1,
        "decoder.depth": 1,
        "decoder.vocabulary": 256,
        "training.steps": STEPS,
        "training.batch_size": 32,
        "training.micro_batch_size": 8,
        "training.warmup_steps": 5,
    }
)
AUTOCAST: dict[str, Any] = {"training.precision": "bfloat16"}
HALF_WEIGHTS: dict[str, Any] = {"training.precision": "bfloat16", "engine.weights": "bfloat16"}
GOLDEN = Path(__file__).parent / "golden" / f"{platform.system()}-{platform.machine()}.json"


@dataclass
class Trace:
    """What every step measured (total, pixel and text loss, gradient norm) and which samples it saw, in order."""

    measured: list[list[float]] = field(default_factory=list)
    keys: list[list[str]] = field(default_factory=list)
    prefix_lengths: list[list[int]] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)


class Remembered(PairDataset):
    """Makes every sample once; the traces all read the same."""

    def __init__(self, length: int, training: bool) -> None:
        super().__init__(ListSource(length), Bytes(), TRACED, training)
        self.made: dict[int, Sample] = {}

    def __getitem__(self, global_position: int) -> Sample:
        if global_position not in self.made:
            self.made[global_position] = super().__getitem__(global_position)
        return self.made[global_position]


TRAINING, VALIDATION = Remembered(90, training=True), Remembered(21, training=False)  # 21: no whole micro-batches


def steps_of(engine: Engine, recipe: AnyRecipe, last: int, trace: Trace) -> None:
    """Train up to step `last`, adding to the trace."""
    ranks, done, size = engine.ranks, engine.steps_done, recipe.training.batch_size
    parts = batches(TRAINING, size, done * size, last - done, 0, ranks.rank, ranks.size)
    feed = Feed(parts, engine, recipe, told_to_stop=lambda: False)
    while (fed := feed.next() if engine.steps_done < last else None) is not None:
        result = train_step(engine, fed.batch, fed.counts, recipe)
        losses = ranks.sum(*(float(value) for value in result[:3]))
        trace.measured.append([*losses, float(result.gradient_norm)])
        trace.keys.append([key for of_rank in ranks.gather(fed.batch.keys) for key in of_rank])
        lengths = ranks.gather(fed.batch.prefix_lengths.tolist())
        trace.prefix_lengths.append([length for of_rank in lengths for length in of_rank])


def whole_trace(engine: Engine, recipe: AnyRecipe, run: Path, steps: int = STEPS) -> Trace:
    """The recipe's first steps, with a checkpoint in the run folder on the way, and a validation at their end."""
    trace = Trace()
    engine.model.train()
    steps_of(engine, recipe, SAVED_AT, trace)
    save_checkpoint(run, engine, {}, kept=1)
    steps_of(engine, recipe, steps, trace)
    found = validation_losses(engine, VALIDATION, recipe, run)
    trace.validation = [found[name] for name in StepResult._fields[:3]]
    return trace


def resumed_trace(engine: Engine, recipe: AnyRecipe, run: Path) -> Trace:
    """The steps after the checkpoint of a run folder."""
    trace = Trace()
    (checkpoint,) = (run / "checkpoints").iterdir()
    load_checkpoint(checkpoint, engine)
    engine.model.train()
    steps_of(engine, recipe, RESUMED_TO, trace)
    return trace


# Small weights are never let go of otherwise, so that stage 3 would be stage 2 with more words.
SHARDED: Changes = {"engine.zero_stage": 3, "engine.deepspeed": str(Path(__file__).with_name("sharded.json"))}


def configurations(ranks: int) -> Iterator[tuple[str, Recipe, int]]:
    """What is traced on so many ranks under DeepSpeed: name, recipe and steps."""
    micro, other = (8, 16) if ranks > 1 else (16, 8)
    for stage in range(4):
        yield f"stage {stage}", TRACED.change({"engine.zero_stage": stage, "training.micro_batch_size": micro}), STEPS
    yield "other micro-batches", TRACED.change({"training.micro_batch_size": other}), STEPS
    yield "sharded, stage 3", TRACED.change({**SHARDED, "training.micro_batch_size": micro}), STEPS_IN_HALF
    for stage in range(1, 4):
        recipe = TRACED.change({**HALF_WEIGHTS, "engine.zero_stage": stage, "training.micro_batch_size": micro})
        yield f"half weights, stage {stage}", recipe, STEPS_IN_HALF
    if ranks > 1:
        yield "recomputed", TRACED.change({"engine.activation_checkpointing": True}), STEPS_IN_HALF
        yield "autocast", TRACED.change(AUTOCAST), STEPS_IN_HALF


def local_traces(folder: Path) -> dict[str, Trace]:
    """The same by the plain engine: cut into micro-batches in three ways, and in bfloat16."""
    changes: dict[str, Changes] = {f"micro {size}": {"training.micro_batch_size": size} for size in (8, 16, 32)}
    changes["autocast"] = AUTOCAST
    recipes = {name: TRACED.change(change) for name, change in changes.items()}
    return {
        name: whole_trace(local_engine(build_model(recipe), recipe, ALONE), recipe, folder / "local" / name)
        for name, recipe in recipes.items()
    }


def local_resumed(run: Path) -> Trace:
    """The plain engine's steps after a checkpoint; its weights were drawn from another seed."""
    recipe = TRACED.change({"training.seed": 1})
    return resumed_trace(local_engine(build_model(recipe), recipe, ALONE), TRACED, run)


@contextmanager
def deepspeed_engine(recipe: Recipe, seed: int, ranks: Ranks) -> Iterator[Engine]:
    """An engine whose weights are drawn from a seed; after it the process is as before."""
    from aimv2_lab.training.sharded.engine import DeepSpeedEngine

    linear = torch.nn.functional.linear
    engine = DeepSpeedEngine(build_model(recipe.change({"training.seed": seed})), recipe, ranks)
    yield engine
    engine.wrapped.destroy()
    torch.nn.functional.linear = linear  # stage 3 leaves its own there, which rounds otherwise


def resumed_from(name: str, stage: int) -> list[str]:
    """The checkpoints, as NUMBER-ranks/NAME, that a configuration is resumed from beside its own."""
    if name.startswith("half"):
        return [f"{ranks}-ranks/half weights, stage {1 + stage % 3}" for ranks in (1, 2)]
    if name.startswith("stage"):
        return [*(f"{ranks}-ranks/stage {(stage + 1) % 4}" for ranks in (1, 2)), f"2-ranks/{name}", "local/micro 16"]
    return []


def deepspeed_traces(folder: Path) -> None:
    """Trace every configuration; resume each from its own checkpoint and from those of others that are there."""
    from aimv2_lab.training.sharded.engine import start_ranks

    ranks = start_ranks()
    mine = f"{ranks.size}-ranks"
    traces, resumed = dict[str, Trace](), dict[str, Trace]()
    for name, recipe, steps in configurations(ranks.size):
        with deepspeed_engine(recipe, 0, ranks) as engine:
            traces[name] = whole_trace(engine, recipe, folder / mine / name, steps)
    for name, recipe, _ in configurations(ranks.size):
        for other in sorted({f"{mine}/{name}", *resumed_from(name, recipe.engine.zero_stage)}):
            if (folder / other).exists():
                with deepspeed_engine(recipe, 1, ranks) as engine:
                    resumed[f"{name} after {other}"] = resumed_trace(engine, recipe, folder / other)
    if ranks.is_first:
        write_traces(folder / f"{mine}.json", {"traces": traces, "resumed": resumed})
    distributed.destroy_process_group()


def write_traces(file: Path, found: Mapping[str, Mapping[str, Trace]]) -> None:
    """Write traces by kind and name."""
    file.write_text(json.dumps({kind: {n: asdict(t) for n, t in these.items()} for kind, these in found.items()}))


def read_traces(file: Path) -> dict[str, dict[str, Trace]]:
    """What `write_traces` wrote."""
    found = json.loads(file.read_text())
    return {kind: {name: Trace(**trace) for name, trace in these.items()} for kind, these in found.items()}


def renew_golden() -> None:
    """Store this platform's losses."""
    with TemporaryDirectory() as folder:
        trace = whole_trace(local_engine(build_model(TRACED), TRACED, ALONE), TRACED, Path(folder))
    GOLDEN.parent.mkdir(exist_ok=True)
    rows = ",\n".join(json.dumps(step) for step in trace.measured)
    GOLDEN.write_text(f'{{"torch": "{torch.__version__}", "measured": [\n{rows}\n]}}\n')


if __name__ == "__main__":
    renew_golden() if sys.argv[1] == "--golden" else deepspeed_traces(Path(sys.argv[1]))
