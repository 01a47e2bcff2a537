"""Fine-tune for image classification:  python -m aimv2_lab.launch.finetune --start runs/small --data DIR --method lora

`--start` is all that `aimv2_lab.load_encoder` reads, `--method` full (all weights, lower layers slower), lora or
frozen (the head alone). Labels are read from the column, member or field that --data.caption-column names, or from one
of a usual name (cls, label, class …). Every field of the recipe can be set, e.g. `--layer-decay 0.65`. On many ranks it
is launched as pre-training is: docs/launch.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aimv2_lab.formats.load import recipe_of
from aimv2_lab.launch.command import end_plainly, train_as_launched
from aimv2_lab.launch.start import Choice, StartOptions, read_start_options
from aimv2_lab.recipes import FinetuneRecipe
from aimv2_lab.recipes.continuations import FinetuneMethod, finetune_recipe
from aimv2_lab.training.finetune import MODEL, finetune
from aimv2_lab.training.run.folder import read_metrics

PROGRAM = "python -m aimv2_lab.launch.finetune"
METHODS = Choice("method", ("full", "lora", "frozen"))

FinetuneOptions = StartOptions[FinetuneRecipe]


def read_options(arguments: Sequence[str]) -> FinetuneOptions:
    """The options of a command line: the checkpoint's recipe, on the data named, with the fields set beside it."""
    options = read_start_options(FinetuneOptions, arguments, PROGRAM, __doc__, METHODS, _recipe)
    if not options.data:
        raise ValueError("name labelled pictures: --data FOLDER, FILE, HUB_NAME or SOURCES.json")
    return options


def _recipe(start: str, method: FinetuneMethod) -> FinetuneRecipe:
    return finetune_recipe(start, recipe_of(start), method)


def run_finetuning(options: FinetuneOptions) -> None:
    """Fine-tune, then print the last validation."""
    run = options.folder
    engine = train_as_launched(finetune, options.recipe, run, options.resume)
    if engine.ranks.is_first:
        last = read_metrics(run, "validation")[-1]
        print(f"step {last['step']}: validation top-1 {last['top1']:.1%}, loss {last['total']:.3f}; {run / MODEL}")


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_finetuning(read_options(sys.argv[1:])))


if __name__ == "__main__":
    main()
