"""Recipes that go on from a trained model: adaptation of the whole; of its encoder fine-tuning, LiT, distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

from aimv2_lab.recipes.contrastive import ContrastiveRecipe, TextTowerRecipe
from aimv2_lab.recipes.data import CLASSES, DataRecipe
from aimv2_lab.recipes.distillation import DistillationRecipe
from aimv2_lab.recipes.finetuning import FinetuneRecipe
from aimv2_lab.recipes.kinds import AnyRecipe
from aimv2_lab.recipes.mixtures import ADAPTATION_MIXTURE, without_synthetic
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


_VIEWS = ("mean", "std", "crop_scale", "crop_ratio", "flip_probability")


def lit_recipe(start: str, trained: AnyRecipe, size: LitSize = "released") -> ContrastiveRecipe:
    """The recipe that teaches a text tower to meet the encoder of the checkpoint `start`, whose recipe is `trained`.

    Pictures are seen as that encoder saw them in its own training.
    """
    text, shared_width, training, data = _SIZES[size]
    name = f"{trained.name}-lit"
    seen = {name: getattr(trained.data, name) for name in _VIEWS}
    views = DataRecipe(**{"source": trained.data.source, **seen, **data})
    return ContrastiveRecipe(
        name, trained.encoder, text, start, shared_width=shared_width, data=views, training=training
    )


def adaptation_recipe(start: str, trained: Recipe, known: Recipe) -> Recipe:
    """The recipe by which the whole model of the checkpoint `start`, whose recipe is `trained`, goes on to the picture
    size of the recipe `known`, or to its many sizes.

    No synthetic captions and weight decay 0 (paper, section 2.4, which says no more of this stage but 2 billion pairs).
    Our choice: tokenizer, mean and deviation are the start's, which it has learned to read; the data are its own where
    `known` names none; everything else is that of `known`, with its warm-up and cosine from the beginning, and its
    seed: where that is the start's too, as it is where neither was set, and the data are, their order, crops and
    prefixes are again those from position 0 on.
    """
    data = known.data if known.data.source or known.data.mixture else trained.data
    seen = trained.data
    return replace(
        known,
        name=f"{known.name}-from-{trained.name}",
        start=start,
        data=replace(without_synthetic(data), tokenizer=seen.tokenizer, mean=seen.mean, std=seen.std),
        training=replace(known.training, weight_decay=0.0),
    )


def distillation_recipe(teacher: str, trained: AnyRecipe, student: Recipe) -> DistillationRecipe:
    """The recipe that teaches the encoder of `student` what that of the checkpoint `teacher` sees, whose recipe is
    `trained`; pictures have the size, the patches and the normalisation that the teacher knows.

    Raises ValueError for a student whose pictures have many sizes.
    """
    if student.resolution.native:
        raise ValueError(f"student {student.name}: a teacher is followed patch by patch, at one size. Choose another")
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


FinetuneMethod = Literal["full", "lora", "frozen"]

# Fine-tuning's peak learning rates by method: LoRA's ten times that of all weights, as is usual; our choice.
_RATES = {"full": 5e-4, "lora": 5e-3, "frozen": 5e-3}


def finetune_recipe(start: str, trained: AnyRecipe, method: FinetuneMethod = "full") -> FinetuneRecipe:
    """The recipe that fine-tunes the checkpoint `start`, whose recipe is `trained`: encoder, pictures' size, views and
    normalisation, and precision are its own.

    The optimisation is our choice: 2,000 steps of about 256 pictures, fewer where pre-training had, and ordinary AdamW
    with betas 0.9 and 0.999.
    """
    data = DataRecipe(tokenizer=CLASSES, **{name: getattr(trained.data, name) for name in _VIEWS})
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
