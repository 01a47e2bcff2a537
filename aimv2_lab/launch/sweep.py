"""Train a recipe once for every seed, and every value of one field, and store what came out as small JSON.

    python -m aimv2_lab.launch.sweep --name tiny_seeds --recipe tiny --seeds 1,2,3,4,5,6,7,8,9,10
    python -m aimv2_lab.launch.sweep --name my_weights --recipe tiny --training.steps 800 --seeds 1,2,3 \
        --vary objective.pixel_weight --values 0,0.1,0.4,1.6

Runs lie in runs/sweeps/NAME; finished ones are used again, an interrupted one goes on where it stopped. The result is
`aimv2_lab/report/stored_results/NAME.json`, which notebooks, tests and the demo read.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aimv2_lab.evaluation.measure import measure_run
from aimv2_lab.formats.folder import RECIPE_FILE
from aimv2_lab.launch.command import Options, end_plainly, read_command
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.report.curves import store_curves
from aimv2_lab.report.stored import refuse_other_command, save_result
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.folder import read_metrics, refuse_other_recipe, replace_text

MEASURES = "measures.json"


def read_sweep(arguments: Sequence[str]) -> tuple[argparse.Namespace, Options]:
    """The sweep's own options, and those of the recipe. Raises ValueError for values without a field to vary."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--name", required=True)
    own.add_argument("--seeds", default="1,2,3", type=_listed)
    own.add_argument("--vary", default="")
    own.add_argument("--values", default=[None], type=_listed)
    sweep, rest = own.parse_known_args(arguments)
    if bool(sweep.vary) != (sweep.values != [None]):
        raise ValueError("--vary FIELD and --values A,B,… belong together: the field, and what it is set to")
    return sweep, read_command(rest, "sweep --name NAME [--seeds 1,2,3] [--vary FIELD --values A,B]")


def _listed(text: str) -> list[Any]:
    """Values separated by commas: numbers, or else words."""
    return [_value(part.strip()) for part in text.split(",")]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def run_one(recipe: AnyRecipe, run: Path) -> dict[str, Any]:
    """Train and measure one run, or read what was measured before; the CPU time counts both."""
    file = run / MEASURES
    if not file.exists():
        started = time.process_time()
        model = pretrain(recipe, run, resume=True).model.eval().cpu()
        measures = {name: round(value, 4) for name, value in measure_run(model, run).items()}
        found = {"measures": measures, "seconds": round(time.process_time() - started, 1)}
        replace_text(file, json.dumps(found) + "\n")
    refuse_other_recipe(run / RECIPE_FILE, recipe)
    found = json.loads(file.read_text())
    return {**found, "curves": store_curves(read_metrics(run, "train"))}


def sweep_recipe(sweep: argparse.Namespace, options: Options, command: str) -> Path:
    """Every run in turn, then the stored result.

    Raises ValueError when a run of that name was trained from another recipe, or the result was made by another
    command: neither is passed off as this one's, nor overwritten.
    """
    refuse_other_command(sweep.name, command)
    runs = []
    for value in sweep.values:
        for seed in sweep.seeds:
            changes = {"training.seed": seed} | ({sweep.vary: value} if sweep.vary else {})
            folder = (options.run or Path("runs/sweeps") / sweep.name) / f"{value}-{seed}".removeprefix("None-")
            runs.append({"value": value, "seed": seed, **run_one(options.recipe.change(changes), folder)})
            print(f"{sweep.name}: {sweep.vary} {value}, seed {seed}: {runs[-1]['measures']}", flush=True)
    return save_result(sweep.name, runs, command, asdict(options.recipe), sum(run["seconds"] for run in runs))


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    command = " ".join(["python -m aimv2_lab.launch.sweep", *arguments])
    end_plainly(lambda: print(f"stored: {sweep_recipe(*read_sweep(arguments), command)}"))


if __name__ == "__main__":
    main()
