"""Recipes that go on from a trained encoder, which stays as it is: LiT and distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

from aimv2_lab.recipes.contrastive import ContrastiveRecipe, TextTowerRecipe
from aimv2_lab.recipes.distillation import DistillationRecipe
from aimv2_lab.recipes.kinds import AnyRecipe
from aimv2_lab.recipes.mixtures import ADAPTATION_MIXTURE
from aimv2_lab.recipes.pretraining import Recipe
from aimv2_lab.recipes.training import TrainingRecipe


class _Size(NamedTuple):
    text: TextTowerRecipe
    shared_width: int
    training: TrainingRecipe
    data: dict[str, Any]


LitSize = Literal["tiny", "released"]

# Text tower, shared width and tokenizer "released" are the released model's. The paper states 3 billion pairs and
# nothing else of LiT's training: batch, rate, decay and warm-up are our choice, near the LiT paper's. Source: paper,
# Table 5; released code.
_SIZES: dict[LitSize, _Size] = {
    "released": _Size(
        TextTowerRecipe(),
        768,
        TrainingRecipe(
            steps=183_105, batch_size=16_384, micro_batch_size=512, min_lr=0.0, warmup_steps=5_500, weight_decay=1e-4
        ),
        {"tokenizer": "openai/clip-vit-base-patch32", "mixture": ADAPTATION_MIXTURE, "source": ""},
    ),
    # On the generated world, beside the recipe tiny; all numbers are our choice.
    "tiny": _Size(
        TextTowerRecipe(width=128, depth=3, heads=4, hidden=352, vocabulary=256, text_tokens=40),
        128,
        TrainingRecipe(
            steps=600,
            batch_size=256,
            micro_batch_size=256,
            warmup_steps=50,
            min_lr=0.0,
            precision="float32",
            validate_every=100,
            validation_batches=2,
            checkpoint_every=200,
        ),
        {"tokenizer": "world"},
    ),
}


def lit_recipe(start: str, trained: AnyRecipe, size: LitSize = "released") -> ContrastiveRecipe:
    """The recipe that teaches a text tower to meet the encoder of the checkpoint `start`, whose recipe is `trained`.

    Pictures are seen as that encoder saw them in its own training.
    """
    text, shared_width, training, data = _SIZES[size]
    name = f"{trained.name}-lit"
    views = replace(trained.data, synthetic_column="", **data)
    return ContrastiveRecipe(
        name, trained.encoder, text, start, shared_width=shared_width, data=views, training=training
    )


def distillation_recipe(teacher: str, trained: AnyRecipe, student: Recipe) -> DistillationRecipe:
    """The recipe that teaches the encoder of `student` what that of the checkpoint `teacher` sees, whose recipe is
    `trained`; pictures have the size, the patches and the normalisation that the teacher knows."""
    seen = trained.encoder
    return DistillationRecipe(
        f"{student.name}-from-{trained.name}",
        teacher,
        seen,
        replace(student.encoder, image_size=seen.image_size, patch_size=seen.patch_size),
        student.decoder,
        objective=student.objective,
        data=replace(student.data, mean=trained.data.mean, std=trained.data.std),
        training=student.training,
        engine=student.engine,
    )
