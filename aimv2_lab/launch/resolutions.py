"""Compare encoders trained at a low, a high and their pictures' own resolution, and store what came out as small JSON:

    python -m aimv2_lab.launch.resolutions

Three seeds of two bases and of what goes on from them, each probed in the views that it is compared in; then, on an
otherwise idle machine, what a picture costs by its area. Runs lie in runs/resolutions; finished ones are used again, an
interrupted one goes on where it stopped. The results are `resolutions.json` and `resolution_costs.json` in
`aimv2_lab/report/stored_results/`, which notebook 12 draws. Costs alone: `--costs-alone`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro

from aimv2_lab.evaluation.resolutions.costs import MEASURED, measured_costs
from aimv2_lab.evaluation.resolutions.measuring import Family
from aimv2_lab.evaluation.resolutions.toys import BASE, SEEDS, TRAINED
from aimv2_lab.launch.command import end_plainly
from aimv2_lab.launch.side_by_side import FIRST_SEEDS, SeedSet, run_side_by_side
from aimv2_lab.report.stored import FOLDER, save_result

PROGRAM = "python -m aimv2_lab.launch.resolutions"
RESULT, COSTS = "resolutions", "resolution_costs"


@dataclass(frozen=True)
class ResolutionsOptions:
    """Which seeds, and where the runs lie."""

    seeds: SeedSet = "report"
    """One pilot seed is stored beside the runs."""
    runs: Path = Path("runs/resolutions")
    """Where the runs lie."""
    processes: int = 2
    """Families of runs at a time, each with one thread."""
    costs_alone: bool = False
    """Measure what pictures cost, and run nothing."""

    @property
    def folder(self) -> Path:
        """Where results go."""
        return FOLDER if self.seeds == "report" else self.runs


def compare(options: ResolutionsOptions, command: str) -> Path:
    """Run what is missing and store all; returns the file."""
    first, seeds = FIRST_SEEDS[options.seeds], 1 if options.seeds == "pilot" else SEEDS
    bases = [name for name, trained in TRAINED.items() if not trained.start]
    families = [Family(name, first + number) for number in range(seeds) for name in bases]
    found = run_side_by_side(families, options.runs, options.processes)
    values = [member for family in found for member in family["members"]]
    seconds = sum(value["seconds"] for value in values)
    return save_result(RESULT, values, command, asdict(BASE), seconds, options.folder)


def measure_costs(options: ResolutionsOptions, command: str) -> Path:
    """Measure on one thread and store; returns the file."""
    torch.set_num_threads(1)
    started = time.process_time()
    values = measured_costs()
    return save_result(COSTS, values, command, asdict(MEASURED), time.process_time() - started, options.folder)


def run(options: ResolutionsOptions, command: str) -> None:
    """All of it, and say where it lies."""
    if not options.costs_alone:
        print(f"stored: {compare(options, command)}")
    print(f"stored: {measure_costs(options, command)}")


def main() -> None:
    """Run the command line."""
    command = " ".join([PROGRAM, *sys.argv[1:]])
    options = tyro.cli(ResolutionsOptions, prog=PROGRAM, description=__doc__)
    end_plainly(
        lambda: run(options, command),
        "give the command again: finished runs are kept, and others go on where they stopped",
    )


if __name__ == "__main__":
    main()
