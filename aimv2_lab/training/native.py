"""The losses of a batch of pictures of many sizes: those of every picture alone, whatever rows they are computed in."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.data.native.batch import NativeBatch
from aimv2_lab.model.objective import LossCounts, Losses, caption_losses, counted_outputs, pixel_errors
from aimv2_lab.model.strips import Strips, lay_rows
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.engine import Predictor

ROW_SEQUENCES = 2  # a packed row holds as many slots as this many of the longest sequence; our choice (see LOG.md)


def native_losses(predictor: Predictor, batch: NativeBatch, counts: LossCounts, recipe: Recipe) -> Losses:
    """The share of one (micro-)batch in the losses of the global batch that `counts` describes."""
    images, text = batch.images, batch.counted_text()
    strips = laid_out(batch, packed=recipe.resolution.batching == "packed").to(batch.pictures.device)
    prefixes = None if recipe.objective.encoder_attention == "bidirectional" else batch.prefix_lengths
    said = predictor.forward(images, batch.tokens, prefixes, text.slots, None, strips)
    nats = caption_losses(said.logits, text.tokens, text.counted, counts)
    if recipe.objective.target == "none":
        return nats
    errors = pixel_errors(said.pixels, images, recipe.encoder.patch_size, recipe.objective.target)
    counted = counted_patches(batch.prefix_lengths, strips.patch_counts, errors.shape[1] + 1)
    pixel = errors.masked_fill(~counted, 0.0).sum() / max(counts.patches, 1)
    return Losses(nats.text + recipe.objective.pixel_weight * pixel, pixel, nats.text)


def counted_patches(prefix_lengths: Tensor, patch_counts: Tensor, patches: int) -> Tensor:
    """Which of the outputs 0 … N-2 count (B, N-1): as `counted_outputs` has it, and the patch they predict is none of
    padding."""
    real = torch.arange(1, patches, device=patch_counts.device) < patch_counts[:, None]
    return counted_outputs(prefix_lengths, patches) & real


def laid_out(batch: NativeBatch, packed: bool) -> Strips:
    """Where every slot of a batch is computed: pictures and captions without their padding, `packed` or a pair in each
    row. On the CPU."""
    counts, longest = batch.patch_counts, batch.pictures.shape[3] // batch.pictures.shape[2]
    patches = torch.arange(longest) < counts[:, None]
    text = torch.arange(batch.tokens.shape[1]) < batch.text_lengths[:, None]
    pairs = torch.cat([patches, text], dim=1)
    capacities = [ROW_SEQUENCES * int(used.sum(dim=1).max()) if packed else None for used in (patches, pairs)]
    encoder_rows = lay_rows(patches, capacities[0]) if packed else None
    return Strips(counts, batch.columns, not patches.all(), encoder_rows, lay_rows(pairs, capacities[1]))
