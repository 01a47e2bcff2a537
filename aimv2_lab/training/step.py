"""One training step over a global batch, whatever engine drives the model."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aimv2_lab.data.batches import Batch
from aimv2_lab.model.objective import LossCounts, Losses, losses
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.engine import Engine, Predictor


class StepResult(NamedTuple):
    """Scalars of one step: the global batch's losses and the gradient norm before clipping."""

    total: Tensor
    pixel: Tensor
    text: Tensor
    gradient_norm: Tensor


def loss_counts(batch: Batch, recipe: AnyRecipe) -> LossCounts:
    """How many patches and tokens of the batch count: known before any forward pass."""
    return LossCounts(batch.counted_patches(recipe.encoder.patches), batch.counted_tokens)


def batch_losses(predictor: Predictor, batch: Batch, counts: LossCounts, recipe: AnyRecipe) -> Losses:
    """The share of one (micro-)batch in the losses of the global batch that `counts` describes."""
    sees_all = recipe.objective.encoder_attention == "bidirectional"
    text = batch.counted_text()
    predictions = predictor.forward(batch.images, batch.tokens, None if sees_all else batch.prefix_lengths, text.slots)
    return losses(
        predictions,
        batch.images,
        text.tokens,
        text.counted,
        batch.prefix_lengths,
        counts,
        recipe.objective.pixel_weight,
        recipe.encoder.patch_size,
        recipe.objective.target,
    )


def train_step(engine: Engine, batch: Batch, counts: LossCounts, recipe: AnyRecipe) -> StepResult:
    """Forward and backward over this rank's micro-batches, then one update.

    `counts` are the global batch's, so that the micro-batches' losses are shares that add up.
    """
    shares = []
    for micro_batch in batch.split(recipe.training.micro_batch_size):
        share = batch_losses(engine, micro_batch, counts, recipe)
        engine.backward(share.total)
        shares.append(torch.stack(share).detach())
    total, pixel, text = torch.stack(shares).sum(dim=0)
    return StepResult(total, pixel, text, engine.step())
