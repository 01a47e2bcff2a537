"""Teach a small encoder what a trained one sees:  python -m aimv2_lab.launch.distil --teacher runs/large --data DIR

`--teacher` is all that `aimv2_lab.load_encoder` reads; that encoder stays as it is. `--student NAME` is the preset
whose encoder, data and optimisation the student has. It learns the teacher's features of every patch; with
`--pretraining-weight 1` it is pre-trained beside. Every field of the recipe can be set, e.g. `--encoder.width 64`. On
many ranks it is launched as pre-training is: docs/launch.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aimv2_lab.formats.load import recipe_of
from aimv2_lab.launch.command import end_plainly, train_as_launched
from aimv2_lab.launch.start import Choice, StartOptions, read_start_options
from aimv2_lab.recipes import PRESETS, DistillationRecipe, Recipe, recipe
from aimv2_lab.recipes.continuations import distillation_recipe
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.folder import read_metrics

PROGRAM = "python -m aimv2_lab.launch.distil"
STUDENTS = Choice("student", tuple(name for name, preset in PRESETS.items() if isinstance(preset, Recipe)))

DistillationOptions = StartOptions[DistillationRecipe]


def read_options(arguments: Sequence[str]) -> DistillationOptions:
    """The options of a command line: the teacher's recipe and the student's, on the data named, with the fields set."""
    return read_start_options(DistillationOptions, arguments, PROGRAM, __doc__, STUDENTS, _recipe, checkpoint="teacher")


def _recipe(teacher: str, student: str) -> DistillationRecipe:
    return distillation_recipe(teacher, recipe_of(teacher), recipe(student))


def run_distillation(options: DistillationOptions) -> None:
    """Train, then print the last validation."""
    run = options.folder
    engine = train_as_launched(pretrain, options.recipe, run, options.resume)
    if engine.ranks.is_first:
        last = read_metrics(run, "validation")[-1]
        print(f"step {last['step']}: validation feature loss {last['features']:.3f}; run in {run}")


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_distillation(read_options(sys.argv[1:])))


if __name__ == "__main__":
    main()
