"""Adapt to another resolution:  python -m aimv2_lab.launch.adapt --recipe aimv2-large-336 --start runs/aimv2-large-224

The whole model of the run folder or checkpoint `--start`, encoder and decoder, goes on with its pre-training on
pictures of the recipe's size, without synthetic captions and with weight decay 0 (paper, section 2.4). A learned
position table is resized as timm resizes it; nothing else depends on the size. Rate, schedule, batch and the resizing
are not published, and are our choice. `--recipe aimv2-large-native` goes on at native resolution, from a model with
sine-cosine positions: docs/native.md. `--recipe tiny-96 --start notebooks/trained` takes a minute on the generated
world. Every field of the recipe can be set, e.g. `--training.peak-lr 1e-4`. On many ranks it is launched as
pre-training is: docs/launch.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from aimv2_lab.formats.whole import pretrained_recipe, refuse_other_model
from aimv2_lab.launch.command import end_plainly, speaks
from aimv2_lab.launch.pretrain import run_pretraining
from aimv2_lab.launch.start import Choice, StartOptions, read_start_options
from aimv2_lab.recipes import PRESETS, DataRecipe, Recipe, recipe
from aimv2_lab.recipes.continuations import adaptation_recipe
from aimv2_lab.recipes.mixtures import without_synthetic
from aimv2_lab.training.run.folder import is_run

PROGRAM = "python -m aimv2_lab.launch.adapt"
RECIPES = Choice("recipe", tuple(name for name, preset in PRESETS.items() if isinstance(preset, Recipe)))

AdaptationOptions = StartOptions[Recipe]


def read_options(arguments: Sequence[str]) -> AdaptationOptions:
    """The options of a command line: the recipe of the new size on the data named, without their synthetic captions,
    with the fields set beside it.

    Raises ValueError for a start that is another model, and for a run that is to be resumed and is no adaptation.
    """
    options = read_start_options(AdaptationOptions, arguments, PROGRAM, __doc__, RECIPES, _recipe)
    if not (isinstance(options.recipe, Recipe) and options.recipe.start):
        raise ValueError(f"{options.folder} holds a run that began from no whole model: go on with it as it was begun")
    if not (options.resume and is_run(options.folder)):
        refuse_other_model(options.recipe)  # before any data are opened
    return replace(options, recipe=replace(options.recipe, data=_adapted_to(options.recipe.data)))


def _recipe(start: str, name: str) -> Recipe:
    trained, known = pretrained_recipe(start), recipe(name)
    if not known.data.source and not known.data.mixture:
        trained = replace(trained, data=_adapted_to(trained.data))
    return adaptation_recipe(start, trained, known)


def _adapted_to(data: DataRecipe) -> DataRecipe:
    """Data without synthetic captions; what is left out is said."""
    found = without_synthetic(data)
    columns = {part.synthetic_column for part in data.parts} - {""}
    if columns and speaks():
        fewer = len(data.mixture) - len(found.mixture)
        sources = f", and with them {fewer} of {len(data.mixture)} sources" if fewer else ""
        print(f"synthetic captions ({', '.join(sorted(columns))}) are left out{sources}", file=sys.stderr)
    return found


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_pretraining(read_options(sys.argv[1:])))


if __name__ == "__main__":
    main()
