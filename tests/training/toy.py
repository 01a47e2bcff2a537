"""A model small enough for exact tests, and batches of noise for it."""

from __future__ import annotations

import torch

from aimv2_lab.data.batches import Batch
from aimv2_lab.recipes import Recipe, recipe

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


def random_batch(seed: int, recipe: Recipe = SMALL) -> Batch:
    """Eight pictures of noise with captions of one to six tokens."""
    draws = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 7, (8, 1), generator=draws)
    return Batch(
        images=torch.randn(8, 3, 24, 24, generator=draws),
        tokens=torch.randint(0, recipe.decoder.vocabulary, (8, 6), generator=draws),
        counted=torch.arange(6) < lengths,
        prefix_lengths=torch.randint(1, recipe.encoder.patches, (8,), generator=draws),
        keys=tuple(str(index) for index in range(8)),
    )
