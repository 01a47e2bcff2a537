"""Fine-tuning: the loop of pre-training over labels, from a trained encoder to a plain classifier."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from aimv2_lab.data.classes import find_classes
from aimv2_lab.data.files import WRITING, move_into_place
from aimv2_lab.data.mixture import open_mixture
from aimv2_lab.formats.folder import RECIPE_FILE, read_recipe, save_weights
from aimv2_lab.model.adapters import merged
from aimv2_lab.recipes import FinetuneRecipe
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.loop import EngineMaker, local_engine, pretrain
from aimv2_lab.training.ranks import ALONE, Ranks
from aimv2_lab.training.run.folder import is_run

MODEL = "model"  # the finished classifier in a run folder


def finetune(
    recipe: FinetuneRecipe,
    run: Path,
    resume: bool = False,
    ranks: Ranks = ALONE,
    make_engine: EngineMaker = local_engine,
) -> Engine:
    """Fine-tune into a run folder, as `pretrain` trains, and write the classifier in plain weights to its `model`.

    Classes that the recipe does not name are those of the run that is resumed, or of the training data. Raises what
    `pretrain`, `find_classes` and `build_classifier` do.
    """
    if not recipe.classes:
        # The first rank alone reads every label.
        recipe = replace(recipe, classes=ranks.from_first(partial(_classes, recipe, run, resume)))
    engine = pretrain(recipe, run, resume, ranks, make_engine)
    weights = engine.weights()
    ranks.on_first(partial(save_classifier, run / MODEL, recipe, weights))
    return engine


def _classes(recipe: FinetuneRecipe, run: Path, resume: bool) -> tuple[str, ...]:
    begun = read_recipe(run / RECIPE_FILE) if resume and is_run(run) else None
    if isinstance(begun, FinetuneRecipe):
        return begun.classes
    return find_classes(open_mixture("train", recipe.data, recipe.encoder.image_size))


def save_classifier(folder: Path, recipe: FinetuneRecipe, weights: Mapping[str, Tensor]) -> None:
    """Write weights as `Engine.weights` gives them, adapters merged, for `load_model` and `load_encoder`.

    A folder that is there already is removed when the new one is whole.
    """
    writing = folder.with_name(f"{WRITING}{folder.name}")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    save_weights(writing, recipe, merged(weights, recipe))
    move_into_place(writing, folder)
