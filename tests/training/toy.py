"""A model small enough for exact tests, and batches of noise for it."""

from __future__ import annotations

import torch

from aimv2_lab.data.batches import Batch
from aimv2_lab.recipes import AnyRecipe, Recipe, recipe

SMALL = recipe(
    "tiny",
    {
        "encoder.image_size": 24,
        "encoder.width": 32,
        "encoder.depth": 2,
        "encoder.hidden": 64,
        "decoder.width": 32,
        "decoder.depth": 2,
        "decoder.hidden": 64,
        "decoder.vocabulary": 20,
        "training.batch_size": 8,
        "training.micro_batch_size": 8,
        "training.warmup_steps": 2,
        "training.steps": 20,
    },
)


# AIM v1 on the same pictures.
SILENT = recipe(
    "aim-tiny",
    {
        "encoder.image_size": 24,
        "encoder.patch_size": 12,
        "encoder.width": 32,
        "encoder.depth": 2,
        "head.width": 32,
        "head.depth": 2,
        "training.batch_size": 8,
        "training.micro_batch_size": 8,
        "training.warmup_steps": 2,
        "training.steps": 20,
    },
)


def random_batch(seed: int, recipe: AnyRecipe = SMALL) -> Batch:
    """Eight pictures of noise with captions of one to six tokens, or none where the recipe reads no text."""
    draws = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 7, (8, 1), generator=draws)
    tokens = 6 if recipe.text_tokens else 0
    vocabulary = recipe.decoder.vocabulary if isinstance(recipe, Recipe) else 1
    return Batch(
        pictures=torch.randn(8, 3, 24, 24, generator=draws),
        tokens=torch.randint(0, vocabulary, (8, tokens), generator=draws),
        counted=torch.arange(tokens) < lengths,
        prefix_lengths=torch.randint(1, recipe.encoder.patches, (8,), generator=draws),
        keys=tuple(str(index) for index in range(8)),
    )
