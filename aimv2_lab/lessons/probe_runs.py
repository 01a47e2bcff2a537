"""Probe the trained and the untrained encoder on every factor of the generated world, from every layer, and store it.

    python -m aimv2_lab.lessons.probe_runs

Takes some minutes on one core. Notebook 10 reads what it stored.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from aimv2_lab.data.transforms import pixel_scale
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.opening import open_factors
from aimv2_lab.evaluation.probing.results import TaskScores
from aimv2_lab.evaluation.probing.run import Storing, probe_encoder
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.formats.load import load_encoder, load_preprocessing
from aimv2_lab.lessons.probe_scenes import SHORT_PROBE, untrained_like
from aimv2_lab.lessons.trained import TRAINED, load_trained
from aimv2_lab.recipes.probing import ProbeKind
from aimv2_lab.report.stored import load_result, save_result

COMMAND = "python -m aimv2_lab.lessons.probe_runs"
STORED = "probed_factors"
SCENES, SEEDS = "world:easy:2000", (0, 1, 2)


class Read(NamedTuple):
    """What was read of which encoder by which probe; the layers are counted as in `VisionEncoder.hidden_states`."""

    encoder: str
    kind: ProbeKind = "attentive"
    layers: tuple[int, ...] = (4,)
    normed: bool = True


READS = [
    *(Read(name, kind) for name in ("trained", "untrained") for kind in ("neighbours", "linear")),
    *(Read(name, layers=(layer,)) for name in ("trained", "untrained") for layer in range(5)),
    Read("trained", layers=(2, 3, 4), normed=False),
]


def probed(read: Read, storing: Storing) -> Sequence[TaskScores]:
    """The scores of every factor, over the seeds; neighbours have none."""
    seen, encoder = load_preprocessing(TRAINED), load_encoder(TRAINED)
    read_of = {"trained": encoder, "untrained": untrained_like(encoder)}[read.encoder]
    frozen = Frozen(read_of, pixel_scale(seen), read.layers, read.normed, read.kind != "attentive")
    recipe = replace(SHORT_PROBE, kind=read.kind, layers=read.layers, normed=read.normed)
    return probe_encoder(frozen, *open_factors(SCENES, seen), recipe, storing, SEEDS).tasks


def as_stored(read: Read, tasks: Sequence[TaskScores]) -> dict[str, Any]:
    """The top-1 of every factor, test set and seed."""
    by_task = {
        task.name: {
            "classes": task.classes,
            "chance": {test: round(value, 4) for test, value in task.chance.items()},
            "top1": {test: [round(v, 4) for v in found["top1"].values] for test, found in task.by_test.items()},
        }
        for task in tasks
    }
    return {**read._asdict(), "tasks": by_task}


def stored_scores(name: str = STORED) -> dict[Read, list[TaskScores]]:
    """What was stored, with intervals over seeds again."""
    found = {}
    for one in load_result(name).values:
        read = Read(one["encoder"], one["kind"], tuple(one["layers"]), one["normed"])
        found[read] = [
            TaskScores(
                task,
                stored["classes"],
                {test: {"top1": Interval.of(values)} for test, values in stored["top1"].items()},
                stored["chance"],
                (),
                (),
            )
            for task, stored in one["tasks"].items()
        ]
    return found


def main() -> None:
    """Probe everything and store it."""
    started, values = time.process_time(), []
    with tempfile.TemporaryDirectory() as folder:
        for read in READS:
            values.append(as_stored(read, probed(read, Storing(Path(folder)))))
            shape = values[-1]["tasks"]["large object, shape"]["top1"]
            print(f"{read}: shape {shape}, {time.process_time() - started:.0f} s", flush=True)
    recipe = {**asdict(load_trained().model.recipe), "probe": asdict(SHORT_PROBE), "scenes": SCENES}
    save_result(STORED, values, COMMAND, recipe, time.process_time() - started)


if __name__ == "__main__":
    main()
