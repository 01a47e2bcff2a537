"""Repeat the papers' ablations in miniature, and store what came out as small JSON:

    python -m aimv2_lab.launch.ablate           all tables, the reported seeds: about an hour on two cores
    python -m aimv2_lab.launch.ablate --tables objective,decoders --seeds pilot
    python -m aimv2_lab.launch.ablate --list    what there is

Every variant is trained once, whatever the tables that it stands in. Runs lie in runs/ablations; finished ones are
used again, an interrupted one goes on where it stopped. The result is
`aimv2_lab/report/stored_results/ablations.json`, which notebook 11 draws; of some tables alone, or of pilot seeds, it
is written beside the runs instead.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from aimv2_lab.evaluation.ablations.measuring import run_variant
from aimv2_lab.evaluation.ablations.tables import ABLATIONS
from aimv2_lab.evaluation.ablations.toys import AIMV2
from aimv2_lab.evaluation.ablations.variants import MANY, VARIANTS
from aimv2_lab.fields import unknown_name
from aimv2_lab.launch.command import end_plainly
from aimv2_lab.report.curves import FINE_STEPS, store_curves
from aimv2_lab.report.stored import FOLDER, save_result
from aimv2_lab.training.run.folder import read_metrics

PROGRAM = "python -m aimv2_lab.launch.ablate"
RESULT = "ablations"
FIRST_SEEDS = {"pilot": 101, "report": 1}


@dataclass(frozen=True)
class AblateOptions:
    """Which tables, which seeds, and where the runs lie."""

    tables: str = ""
    """Names, with commas between them. Default: all."""
    seeds: Literal["report", "pilot"] = "report"
    """Settings were chosen on pilot seeds; what is reported is of others."""
    runs: Path = Path("runs/ablations")
    """Where the runs lie."""
    processes: int = 2
    """Runs at a time, each with one thread."""
    list: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Say what tables there are, and end."""


@dataclass(frozen=True)
class Job:
    """One variant under one seed."""

    variant: str
    seed: int

    def folder(self, runs: Path) -> Path:
        """Where its run lies."""
        return runs / f"{self.variant}-{self.seed}"


def jobs_of(tables: Sequence[str], seeds: Literal["report", "pilot"]) -> list[Job]:
    """Every run that the tables need, once, seed by seed, so that each seed's rows are comparable early.

    Raises UnknownName, a KeyError, for a table that is not there.
    """
    for name in tables:
        if name not in ABLATIONS:
            raise unknown_name("table", name, list(ABLATIONS))
    variants = dict.fromkeys(row.variant for name in tables for row in ABLATIONS[name].rows)
    first = FIRST_SEEDS[seeds]
    most = max(VARIANTS[name].seeds for name in variants)
    return [Job(name, first + number) for number in range(most) for name in variants if number < VARIANTS[name].seeds]


def run_jobs(jobs: Sequence[Job], runs: Path, processes: int) -> list[dict[str, Any]]:
    """All measures, in the order of the jobs; runs that fail end the others that have not begun."""
    done: dict[Job, dict[str, Any]] = {}
    runs.mkdir(parents=True, exist_ok=True)
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_alone, initargs=(runs,)) as pool:
        begun = {pool.submit(run_variant, VARIANTS[job.variant], job.seed, job.folder(runs)): job for job in jobs}
        try:
            for finished in as_completed(begun):
                job = begun[finished]
                done[job] = {"variant": job.variant, "seed": job.seed, **finished.result()}
                print(f"{len(done)} of {len(jobs)}: {job.variant}, seed {job.seed}", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[job] for job in jobs]


def _alone(runs: Path) -> None:
    """One thread, and a file for what runs that go on side by side say of their progress."""
    torch.set_num_threads(1)
    sys.stderr = runs.joinpath(f"progress-{os.getpid()}.txt").open("w")


def table_list() -> str:
    """Every table with its source and how many runs it has of its own."""
    names = [f"{name:16} {table.title} ({table.source})" for name, table in ABLATIONS.items()]
    return "\n".join([*names, f"in all {len(jobs_of(list(ABLATIONS), 'report'))} runs"])


def with_early_curves(values: Sequence[Mapping[str, Any]], runs: Path) -> list[dict[str, Any]]:
    """The measures, and as "curves" how each run's losses began, where a variant has enough seeds for a band."""
    return [
        {**value, **_early_curve(value["variant"], runs / f"{value['variant']}-{value['seed']}")} for value in values
    ]


def _early_curve(name: str, folder: Path) -> dict[str, Any]:
    variant = VARIANTS[name]
    if not variant.trained or variant.seeds < MANY:
        return {}
    records = [record for record in read_metrics(folder, "train") if record["step"] <= FINE_STEPS]
    return {"curves": store_curves(records)}


def ablate(options: AblateOptions, command: str) -> Path:
    """Run what is missing and store all; returns the file."""
    named = [name for name in options.tables.split(",") if name]
    jobs = jobs_of(named or list(ABLATIONS), options.seeds)
    started = time.perf_counter()
    values = run_jobs(jobs, options.runs, options.processes)
    print(f"{len(jobs)} runs; this command took {(time.perf_counter() - started) / 60:.1f} min")
    values = with_early_curves(values, options.runs)
    seconds = sum(value["seconds"] for value in values)
    whole = not named and options.seeds == "report"
    return save_result(RESULT, values, command, asdict(AIMV2), seconds, FOLDER if whole else options.runs)


def main() -> None:
    """Run the command line."""
    command = " ".join([PROGRAM, *sys.argv[1:]])
    options = tyro.cli(AblateOptions, prog=PROGRAM, description=__doc__)

    def run() -> None:
        print(table_list() if options.list else f"stored: {ablate(options, command)}")

    end_plainly(run, "give the command again: finished runs are kept, and others go on where they stopped")


if __name__ == "__main__":
    main()
