"""Fine-tuning: the loop of pre-training over labels, from a trained encoder to a plain classifier."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor

from aimv2_lab.data.classes import find_classes
from aimv2_lab.data.files import WRITING, move_into_place
from aimv2_lab.data.mixture import open_mixture
from aimv2_lab.formats.folder import RECIPE_FILE, read_recipe, save_weights
from aimv2_lab.formats.load import recipe_of
from aimv2_lab.model.adapters import merged
from aimv2_lab.recipes import CLASSES, DataRecipe, FinetuneRecipe, TrainingRecipe
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.loop import EngineMaker, local_engine, pretrain
from aimv2_lab.training.ranks import ALONE, Ranks
from aimv2_lab.training.run.folder import is_run

MODEL = "model"  # the finished classifier in a run folder

# Peak learning rates by method: LoRA's ten times that of all weights, as is usual; our choice.
_RATES = {"full": 5e-4, "lora": 5e-3, "frozen": 5e-3}


def finetune_recipe(start: str, method: Literal["full", "lora", "frozen"] = "full") -> FinetuneRecipe:
    """The recipe that fine-tunes a checkpoint: its encoder, its pictures' size, views and normalisation, its precision.

    The optimisation is our choice: 2,000 steps of about 256 pictures, fewer where pre-training had, and ordinary AdamW
    with betas 0.9 and 0.999. Raises what `recipe_of` does.
    """
    trained = recipe_of(start)
    views = {name: getattr(trained.data, name) for name in ("mean", "std", "crop_scale", "crop_ratio")}
    data = DataRecipe(tokenizer=CLASSES, flip_probability=trained.data.flip_probability, **views)
    micro_batch = trained.training.micro_batch_size
    batch = min(trained.training.batch_size, micro_batch * max(256 // micro_batch, 1))
    training = TrainingRecipe(
        steps=2_000,
        batch_size=batch,
        micro_batch_size=micro_batch,
        peak_lr=_RATES[method],
        min_lr=0.0,
        warmup_steps=100,
        betas=(0.9, 0.999),
        weight_decay=0.05,
        decay="ordinary",
        precision=trained.training.precision,
        loss_limit=10.0,  # losses near zero are many times their median where one label is wrong
        validate_every=200,
        checkpoint_every=500,
    )
    return FinetuneRecipe(f"{trained.name}-{method}", start, trained.encoder, method, data=data, training=training)


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
