"""Rival objectives over an encoder small enough for exact tests, and batches of noise for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.nn.functional import pad

from aimv2_lab.data.batch import Batch
from aimv2_lab.recipes import MaskedImageRecipe, Rival, RivalRecipe, rival
from tests.training.finetune_toy import TUNING
from tests.training.toy import SMALL, random_batch

WHOLE = SMALL.change({"encoder.patch_size": 6, "decoder.text_tokens": 9})  # 16 patches of 6 pixels a side


def small_rival(name: Rival, changes: Mapping[str, Any] | None = None) -> RivalRecipe:
    """The rival of the small recipe, with fields changed."""
    return rival(name, WHOLE).change(changes or {})


def world_rival(name: Rival, changes: Mapping[str, Any] | None = None) -> RivalRecipe:
    """The rival of the small recipe that learns from the generated world in six steps."""
    words = WHOLE.change({"decoder.vocabulary": 256, "decoder.text_tokens": 40})
    return rival(name, words).change({**TUNING, **(changes or {})})


def rival_batch(seed: int, recipe: RivalRecipe) -> Batch:
    """Eight pictures of noise with what the recipe needs: captions, which of them at once, which patches are seen."""
    batch = random_batch(seed, WHOLE)
    draws = torch.Generator().manual_seed(seed + 1000)
    if recipe.objective.encoder_attention == "bidirectional":
        batch = replace(batch, prefix_lengths=torch.full((8,), recipe.encoder.patches))
    if not recipe.text_tokens:
        batch = replace(batch, tokens=batch.tokens[:, :0], counted=batch.counted[:, :0])
    if recipe.objective.parallel_share:
        more = (0, recipe.text_tokens - batch.tokens.shape[1])
        at_once = (torch.arange(8) + seed) % 4 > 0  # three of four
        batch = replace(batch, tokens=pad(batch.tokens, more), counted=pad(batch.counted, more), parallel=at_once)
    if isinstance(recipe, MaskedImageRecipe):
        batch = replace(batch, patch_order=torch.rand(8, recipe.encoder.patches, generator=draws).argsort(dim=1))
    return batch
