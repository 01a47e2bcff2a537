"""A small encoder pre-trained alone, distilled, and both at once, beside the teacher; on the generated world.

    python -m benchmarks.distillation [--steps 1600] [--seeds 0 1 2] [--ways alone distilled both]

The teacher is the committed encoder (`--teacher`), the student has half its width and depth. Each way's learning rate
is tuned on a seed of its own; all take as many steps on the same scenes. Measured: the attentive probe on the shape of
the large object (512 held-out scenes, trained on 1,536 others). A seed draws the order, the captions and the weights.
One thread; seconds are this process's processor time, opening and validation included.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import tyro

from aimv2_lab import load_encoder
from aimv2_lab.evaluation.world import (
    PROBE_TRAINED,
    TESTED,
    large_shapes,
    shape_accuracy,
    world_pictures,
    world_source,
)
from aimv2_lab.formats.folder import RECIPE_FILE, read_recipe
from aimv2_lab.lessons.trained import TRAINED
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import AnyRecipe, Recipe, recipe
from aimv2_lab.recipes.continuations import distillation_recipe
from aimv2_lab.training.loop import pretrain

PILOT_SEED = 100
WAYS = ("alone", "distilled", "both")
RATES = (1e-3, 3e-3)
SMALL = {"encoder.width": 64, "encoder.depth": 2, "encoder.heads": 2, "encoder.hidden": 176}


class Outcome(NamedTuple):
    """Probe accuracy and processor seconds."""

    probe: float
    seconds: float


def probed(encoder: VisionEncoder, seen: AnyRecipe) -> float:
    """The attentive probe's accuracy on held-out scenes."""
    source, size = world_source(seen), seen.encoder.image_size
    train, test = (
        (world_pictures(source, scenes, seen.data, size), large_shapes(source, scenes))
        for scenes in (PROBE_TRAINED, TESTED)
    )
    return shape_accuracy(encoder, train, test)


def plans(teacher: Path, student: Recipe) -> dict[str, AnyRecipe]:
    """The ways to train the student, by name."""
    distilled = distillation_recipe(str(teacher), read_recipe(teacher / RECIPE_FILE), student)
    both = distilled.change({"pretraining_weight": 1.0})
    return {"alone": student, "distilled": distilled, "both": both}


def outcome(plan: AnyRecipe, rate: float, seed: int, steps: int) -> Outcome:
    """One run, in a folder that is removed."""
    often: dict[str, Any] = {
        f"training.{n}": steps for n in ("steps", "log_every", "validate_every", "checkpoint_every")
    }
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        engine = pretrain(plan.change({**often, "training.peak_lr": rate, "training.seed": seed}), Path(folder) / "run")
    return Outcome(probed(engine.model.encoder.eval(), plan), time.process_time() - started)


def main(
    teacher: str = str(TRAINED), steps: int = 1600, seeds: tuple[int, ...] = (0, 1, 2), ways: tuple[str, ...] = WAYS
) -> None:
    """Tune each way on the pilot seed, then print every seed's outcome and the means."""
    torch.set_num_threads(1)
    student = recipe("tiny", SMALL)
    print(f"teacher: probe {probed(load_encoder(teacher), student):.1%}", flush=True)
    print(f"untrained student: probe {probed(VisionEncoder(student), student):.1%}", flush=True)
    known = plans(Path(teacher), student)
    for name in ways:
        plan = known[name]
        tried = {rate: outcome(plan, rate, PILOT_SEED, steps).probe for rate in RATES}
        print(f"{name}: " + "  ".join(f"{rate:g}: {probe:.1%}" for rate, probe in tried.items()), flush=True)
        best = max(tried, key=tried.__getitem__)
        found = [outcome(plan, best, seed, steps) for seed in seeds]
        probes = [one.probe for one in found]
        each = ", ".join(f"{probe:.1%}" for probe in probes)
        spread = f" ± {statistics.stdev(probes):.1%}" if len(probes) > 1 else ""
        seconds = statistics.mean(one.seconds for one in found)
        print(
            f"{name}, rate {best:g}: probe {statistics.mean(probes):.1%}{spread} ({each}); {seconds:.0f} s", flush=True
        )


if __name__ == "__main__":
    tyro.cli(main)
