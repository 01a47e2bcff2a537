"""Repeat the papers' ablations in miniature, and store what came out as small JSON:

    python -m aimv2_lab.launch.ablate           all tables, the reported seeds: 100 minutes on two cores
    python -m aimv2_lab.launch.ablate --tables objective,decoders --seeds pilot
    python -m aimv2_lab.launch.ablate --list    what there is

Every variant is trained once, whatever the tables that it stands in. Runs lie in runs/ablations; finished ones are
used again, an interrupted one goes on where it stopped. The result is
`aimv2_lab/report/stored_results/ablations.json`, which notebook 11 draws; of some tables alone, or of pilot seeds, it
is written beside the runs instead. `--tables attention-fine --seeds again` asks a close question of five other seeds,
and stores `ablations_again.json`, which notebook 11 draws too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from aimv2_lab.evaluation.ablations.tables import ABLATIONS
from aimv2_lab.evaluation.ablations.toys import AIMV2
from aimv2_lab.evaluation.ablations.variants import MANY, VARIANTS
from aimv2_lab.fields import unknown_name
from aimv2_lab.launch.command import end_plainly
from aimv2_lab.launch.side_by_side import SeedSet, VariantJob, jobs_of, run_side_by_side
from aimv2_lab.report.curves import FINE_STEPS, store_curves
from aimv2_lab.report.stored import FOLDER, save_result
from aimv2_lab.training.run.folder import read_metrics

PROGRAM = "python -m aimv2_lab.launch.ablate"
RESULT, AGAIN = "ablations", "ablations_again"


@dataclass(frozen=True)
class AblateOptions:
    """Which tables, which seeds, and where the runs lie."""

    tables: str = ""
    """Names, with commas between them. Default: all."""
    seeds: SeedSet = "report"
    """Settings were chosen on pilot seeds; what is reported is of others, and may be asked again of others still."""
    runs: Path = Path("runs/ablations")
    """Where the runs lie."""
    processes: int = 2
    """Runs at a time, each with one thread."""
    list: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Say what tables there are, and end."""


def jobs_of_tables(tables: Sequence[str], seeds: SeedSet) -> list[VariantJob]:
    """Every run that the tables need, once. Raises UnknownName, a KeyError, for a table that is not there."""
    for name in tables:
        if name not in ABLATIONS:
            raise unknown_name("table", name, list(ABLATIONS))
    names = dict.fromkeys(row.variant for name in tables for row in ABLATIONS[name].rows)
    return jobs_of({name: VARIANTS[name] for name in names}, seeds)


def table_list() -> str:
    """Every table with its source and how many runs it has of its own."""
    names = [f"{name:16} {table.title} ({table.source})" for name, table in ABLATIONS.items()]
    return "\n".join([*names, f"in all {len(jobs_of_tables(list(ABLATIONS), 'report'))} runs"])


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
    jobs = jobs_of_tables(named or list(ABLATIONS), options.seeds)
    values = run_side_by_side(jobs, options.runs, options.processes)
    values = with_early_curves(values, options.runs)
    seconds = sum(value["seconds"] for value in values)
    name = AGAIN if options.seeds == "again" else RESULT
    shown = options.seeds == "again" or (options.seeds == "report" and not named)
    return save_result(name, values, command, asdict(AIMV2), seconds, FOLDER if shown else options.runs)


def main() -> None:
    """Run the command line."""
    command = " ".join([PROGRAM, *sys.argv[1:]])
    options = tyro.cli(AblateOptions, prog=PROGRAM, description=__doc__)

    def run() -> None:
        print(table_list() if options.list else f"stored: {ablate(options, command)}")

    end_plainly(run, "give the command again: finished runs are kept, and others go on where they stopped")


if __name__ == "__main__":
    main()
