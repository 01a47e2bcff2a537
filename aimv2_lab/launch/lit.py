"""Teach a text tower to meet a trained encoder:  python -m aimv2_lab.launch.lit --start runs/small --data DIR

This is LiT: the encoder of `--start`, all that `aimv2_lab.load_encoder` reads, stays as it is; its pooling head, the
text tower and both projections are trained by CLIP's loss (`--loss sigmoid` has SigLIP's). `--size released` has the
released model's text tower, `--size tiny` a small one for the generated world. Every field of the recipe can be set,
e.g. `--training.batch-size 4096`. On many ranks it is launched as pre-training is: docs/launch.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aimv2_lab.formats.load import recipe_of
from aimv2_lab.launch.command import end_plainly, train_as_launched
from aimv2_lab.launch.start import Choice, StartOptions, read_start_options
from aimv2_lab.recipes import ContrastiveRecipe
from aimv2_lab.recipes.continuations import LitSize, lit_recipe
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.folder import read_metrics

PROGRAM = "python -m aimv2_lab.launch.lit"
SIZES = Choice("size", ("released", "tiny"))

LitOptions = StartOptions[ContrastiveRecipe]


def read_options(arguments: Sequence[str]) -> LitOptions:
    """The options of a command line: the checkpoint's LiT recipe, on the data named, with the fields set beside it."""
    return read_start_options(LitOptions, arguments, PROGRAM, __doc__, SIZES, _recipe)


def _recipe(start: str, size: LitSize) -> ContrastiveRecipe:
    return lit_recipe(start, recipe_of(start), size)


def run_lit(options: LitOptions) -> None:
    """Train, then print the last validation."""
    run = options.folder
    engine = train_as_launched(pretrain, options.recipe, run, options.resume)
    if engine.ranks.is_first:
        last = read_metrics(run, "validation")[-1]
        print(f"step {last['step']}: validation loss {last['total']:.3f}, {last['matched']:.1%} matched; run in {run}")


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_lit(read_options(sys.argv[1:])))


if __name__ == "__main__":
    main()
