"""Train encoders of four sizes on four numbers of samples, probe them, and store what came out as small JSON:

    python -m aimv2_lab.launch.scale

Runs lie in runs/scaling; finished ones are used again, an interrupted one goes on where it stopped. The result is
`aimv2_lab/report/stored_results/scaling.json`, from which laws are fitted and drawn.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from aimv2_lab.evaluation.ablations.toys import AIMV2
from aimv2_lab.evaluation.scaling.cells import CELLS, VARIANTS
from aimv2_lab.launch.command import end_plainly
from aimv2_lab.launch.side_by_side import SeedSet, jobs_of, run_side_by_side
from aimv2_lab.report.stored import FOLDER, save_result

PROGRAM = "python -m aimv2_lab.launch.scale"
RESULT = "scaling"


@dataclass(frozen=True)
class ScaleOptions:
    """Which seeds, and where the runs lie."""

    seeds: SeedSet = "report"
    """Pilot seeds are stored beside the runs."""
    runs: Path = Path("runs/scaling")
    """Where the runs lie."""
    processes: int = 2
    """Runs at a time, each with one thread."""


def scale(options: ScaleOptions, command: str) -> Path:
    """Run what is missing and store all; returns the file."""
    values = run_side_by_side(jobs_of(VARIANTS, options.seeds), options.runs, options.processes)
    for value in values:
        cell = CELLS[value["variant"]]
        value |= {"size": cell.size, "parameters": cell.parameters, "samples": cell.samples, "flops": cell.flops}
    seconds = sum(value["seconds"] for value in values)
    folder = FOLDER if options.seeds == "report" else options.runs
    return save_result(RESULT, values, command, asdict(AIMV2), seconds, folder)


def main() -> None:
    """Run the command line."""
    command = " ".join([PROGRAM, *sys.argv[1:]])
    options = tyro.cli(ScaleOptions, prog=PROGRAM, description=__doc__)
    end_plainly(
        lambda: print(f"stored: {scale(options, command)}"),
        "give the command again: finished runs are kept, and others go on where they stopped",
    )


if __name__ == "__main__":
    main()
