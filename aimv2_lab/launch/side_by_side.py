"""Several variants trained and probed side by side, each in a process of its own with one thread."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from aimv2_lab.evaluation.ablations.measuring import run_variant
from aimv2_lab.evaluation.ablations.variants import Variant

SeedSet = Literal["report", "pilot", "again"]
FIRST_SEEDS: Mapping[SeedSet, int] = {"report": 11, "pilot": 101, "again": 21}  # again: does it hold on others?


class Job(Protocol):
    """Something to run under a seed, that a process can be handed."""

    @property
    def name(self) -> str:
        """What it is called in what is printed."""
        ...

    @property
    def seed(self) -> int:
        """The seed."""
        ...

    def run(self, runs: Path) -> dict[str, Any]:
        """Run it below a folder, or read what was measured before."""
        ...


@dataclass(frozen=True)
class VariantJob:
    """One variant under one seed; its run lies in a folder of their names."""

    name: str
    variant: Variant
    seed: int

    def folder(self, runs: Path) -> Path:
        """Where its run lies."""
        return runs / f"{self.name}-{self.seed}"

    def run(self, runs: Path) -> dict[str, Any]:
        """What `run_variant` measures, with name and seed."""
        found = run_variant(self.variant, self.seed, self.folder(runs))
        return {"variant": self.name, "seed": self.seed, **found}


def jobs_of(variants: Mapping[str, Variant], seeds: SeedSet) -> list[VariantJob]:
    """Every variant under every one of its seeds, all variants of the first seed first: early rows are comparable."""
    most = max(variant.seeds for variant in variants.values())
    return [
        VariantJob(name, variant, FIRST_SEEDS[seeds] + number)
        for number in range(most)
        for name, variant in variants.items()
        if number < variant.seeds
    ]


def run_side_by_side(jobs: Sequence[Job], runs: Path, processes: int) -> list[dict[str, Any]]:
    """What every job gives, in their order; the first that fails ends the others.

    What runs say of their progress goes to files beside them.
    """
    runs.mkdir(parents=True, exist_ok=True)
    done: dict[Job, dict[str, Any]] = {}
    started = time.perf_counter()
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _alone, (runs, os.getpid()))
    try:
        begun = {pool.submit(job.run, runs): job for job in jobs}
        for finished in as_completed(begun):
            job = begun[finished]
            done[job] = finished.result()
            minutes = (time.perf_counter() - started) / 60
            print(f"{len(done)} of {len(jobs)} after {minutes:.0f} min: {job.name}, seed {job.seed}", flush=True)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in active_children():
            child.terminate()  # a run that is told so saves where it stands
        raise
    pool.shutdown()
    return [done[job] for job in jobs]


def _alone(runs: Path, parent: int) -> None:
    """One thread, a file for what the runs say, and an end where the command that began this process has ended."""
    torch.set_num_threads(1)
    sys.stderr = runs.joinpath(f"progress-{os.getpid()}.txt").open("w")
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int, end: Callable[[int], None] = os._exit) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    end(1)
