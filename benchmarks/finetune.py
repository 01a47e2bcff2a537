"""All weights, LoRA and a frozen encoder side by side, on few labelled scenes of the generated world.

    python -m benchmarks.finetune [--scenes 1000] [--steps 320] [--seeds 0 1 2]

The encoder is the committed one (or `--start`); the label is the shape of the large object, of five. Each method's
learning rate is tuned on a seed of its own; all see the same pictures in the same order, a seed draws the order, the
head and the adapters. One thread; seconds are this process's processor time, opening and validation included.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import tyro

from aimv2_lab.formats.load import recipe_of
from aimv2_lab.lessons.trained import TRAINED
from aimv2_lab.recipes.continuations import finetune_recipe
from aimv2_lab.training.finetune import finetune
from aimv2_lab.training.run.folder import read_metrics

Method = Literal["full", "lora", "frozen"]
PILOT_SEED = 100
RATES: dict[Method, tuple[float, ...]] = {
    "full": (1e-3, 3e-3, 1e-2),
    "lora": (1e-3, 3e-3, 1e-2),
    "frozen": (3e-3, 1e-2, 3e-2),
}


class Outcome(NamedTuple):
    """Top-1 and loss on 1,024 held-out scenes, trained parameters, processor seconds."""

    top1: float
    loss: float
    trained: int
    seconds: float


def outcome(start: str, method: Method, rate: float, seed: int, steps: int, scenes: int) -> Outcome:
    """One run from the checkpoint, in a folder that is removed."""
    training = {"peak_lr": rate, "seed": seed, "steps": steps, "warmup_steps": steps // 10, "validation_batches": 32}
    often = dict.fromkeys(("log_every", "validate_every", "checkpoint_every"), steps)
    changes = {f"training.{name}": value for name, value in {**training, **often}.items()}
    plan = finetune_recipe(start, recipe_of(start), method).change({"data.source": f"world:easy:{scenes}", **changes})
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        engine = finetune(plan, Path(folder) / "run")
        last = read_metrics(Path(folder) / "run", "validation")[-1]
    trained = sum(parameter.numel() for parameter in engine.model.parameters() if parameter.requires_grad)
    return Outcome(last["top1"], last["total"], trained, time.process_time() - started)


def main(start: str = str(TRAINED), scenes: int = 1000, steps: int = 320, seeds: tuple[int, ...] = (0, 1, 2)) -> None:
    """Tune each method on the pilot seed, then print every seed's outcome and the means."""
    torch.set_num_threads(1)
    for method, rates in RATES.items():
        tried = {rate: outcome(start, method, rate, PILOT_SEED, steps, scenes) for rate in rates}
        print(f"{method:6} " + "  ".join(f"{rate:g}: {found.top1:.1%}" for rate, found in tried.items()), flush=True)
        best = min(tried, key=lambda rate: tried[rate].loss)
        found = [outcome(start, method, best, seed, steps, scenes) for seed in seeds]
        top1 = [one.top1 for one in found]
        print(
            f"{method:6} rate {best:g}: top-1 {', '.join(f'{share:.1%}' for share in top1)}; "
            f"mean {statistics.mean(top1):.1%} ± {statistics.stdev(top1):.1%}, loss "
            f"{statistics.mean(one.loss for one in found):.3f}; {found[0].trained:,} parameters trained, "
            f"{statistics.mean(one.seconds for one in found):.0f} s a run",
            flush=True,
        )


if __name__ == "__main__":
    tyro.cli(main)
