"""AdamW, SOAP and Muon on the tiny recipe, at equal steps and at equal seconds.

    python -m benchmarks.optimizers [--steps 320] [--rates 1e-3 2e-3 4e-3 8e-3] [--seeds 0 1 2]

Each optimizer's learning rate is tuned on a seed of its own. One thread; a second is a second of this process's
processor, data not counted. At equal seconds the slower ones have a shorter schedule, not a cut one.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import torch
import tyro

from aimv2_lab.data.batches import Batch, batches
from aimv2_lab.recipes import OptimizerName, Recipe, recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import RunData, build_model, open_data
from aimv2_lab.training.run.validation import validation_losses
from aimv2_lab.training.step import loss_counts, train_step

PILOT_SEED, TIMED_STEPS = 100, 30  # three of SOAP's periods of 10 steps
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)


class Trial:
    """One seed's data, read once: every run of the seed sees the same batches."""

    def __init__(self, seed: int, steps: int) -> None:
        self.recipe = recipe("tiny", {"training.seed": seed, "training.validation_batches": 8})
        self.data: RunData = open_data(self.recipe)
        self.batches: list[Batch] = list(batches(self.data.training, self.recipe.training.batch_size, 0, steps, 0))

    def plan(self, optimizer: str, rate: float, steps: int) -> Recipe:
        """The tiny recipe with another optimizer and a schedule of `steps`, a tenth of them warm-up."""
        changes = {"optimizer": optimizer, "peak_lr": rate, "steps": steps, "warmup_steps": steps // 10}
        return self.recipe.change({f"training.{name}": value for name, value in changes.items()})

    def held_out_loss(self, optimizer: str, rate: float, steps: int) -> float:
        """The total held-out loss after a whole run; infinity where the loss was not finite."""
        plan = self.plan(optimizer, rate, steps)
        engine = LocalEngine(build_model(plan), plan.training, torch.device("cpu"))
        for batch in self.batches[:steps]:
            train_step(engine, batch, loss_counts(batch, plan), plan)
        with tempfile.TemporaryDirectory() as folder:
            loss = validation_losses(engine, self.data.validation, plan, Path(folder))["total"]
        return loss if loss < float("inf") else float("inf")

    def seconds_per_step(self) -> dict[str, float]:
        """Processor seconds of a step by optimizer: they take turns, so that a busy machine slows all alike."""
        plans = {name: self.plan(name, 1e-3, TIMED_STEPS) for name in OPTIMIZERS}
        engines = {n: LocalEngine(build_model(p), p.training, torch.device("cpu")) for n, p in plans.items()}
        spent: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
        for batch in self.batches[: TIMED_STEPS + 1]:
            for name, engine in engines.items():
                started = time.process_time()
                train_step(engine, batch, loss_counts(batch, plans[name]), plans[name])
                spent[name].append(time.process_time() - started)
        return {name: statistics.mean(seconds[1:]) for name, seconds in spent.items()}  # the first sets up


def tuned(trial: Trial, optimizer: str, rates: Iterable[float], steps: int) -> float:
    """The rate with the lowest held-out loss; all are printed."""
    found = {rate: trial.held_out_loss(optimizer, rate, steps) for rate in rates}
    print(f"{optimizer:6} " + "  ".join(f"{rate:g}: {loss:.4f}" for rate, loss in found.items()), flush=True)
    return min(found, key=lambda rate: found[rate])


def report(what: str, found: dict[str, list[float]]) -> None:
    """Each optimizer's losses by seed, their mean, and the mean difference from AdamW's on the same seeds."""
    for name, losses in found.items():
        change = statistics.mean(loss - base for loss, base in zip(losses, found["adamw"], strict=True))
        rows = ", ".join(f"{loss:.4f}" for loss in losses)
        print(f"{what}  {name:6} {rows}; mean {statistics.mean(losses):.4f}, {change:+.4f} against adamw", flush=True)


def main(
    steps: int = 320,
    rates: tuple[float, ...] = (1e-3, 2e-3, 4e-3, 8e-3),
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Time a step, tune on the pilot seed, and print held-out losses at equal steps and at equal seconds."""
    torch.set_num_threads(1)
    pilot = Trial(PILOT_SEED, steps)
    seconds = pilot.seconds_per_step()
    lengths = {name: round(steps * seconds["adamw"] / seconds[name]) for name in OPTIMIZERS}
    for name in OPTIMIZERS:
        print(f"{name:6} {1e3 * seconds[name]:.0f} ms a step: {lengths[name]} steps in the time of {steps}", flush=True)
    best = {name: tuned(pilot, name, rates, steps) for name in OPTIMIZERS}
    del pilot
    at_equal_steps: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
    at_equal_seconds: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
    for seed in seeds:
        trial = Trial(seed, steps)
        for name in OPTIMIZERS:
            whole = trial.held_out_loss(name, best[name], steps)
            shorter = trial.held_out_loss(name, best[name], lengths[name]) if lengths[name] != steps else whole
            at_equal_steps[name].append(whole)
            at_equal_seconds[name].append(shorter)
            print(f"seed {seed} {name:6} {best[name]:g}: {whole:.4f}, in equal time {shorter:.4f}", flush=True)
    report("equal steps  ", at_equal_steps)
    report("equal seconds", at_equal_seconds)


if __name__ == "__main__":
    tyro.cli(main)
