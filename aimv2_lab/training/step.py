"""One training step over a global batch, whatever engine drives the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, overload

import torch
from torch import Tensor

from aimv2_lab.data.batch import Batch, CountedText
from aimv2_lab.data.native.batch import NativeBatch
from aimv2_lab.model.classifier import ClassLosses, class_losses
from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.distillation import DistillationLosses, FeatureLosses
from aimv2_lab.model.masked_image import masked_losses
from aimv2_lab.model.objective import LossCounts, Losses, caption_losses, losses
from aimv2_lab.model.orders import in_order
from aimv2_lab.recipes import (
    AdditiveRecipe,
    AnyRecipe,
    ContrastiveRecipe,
    DistillationRecipe,
    FinetuneRecipe,
    MaskedImageRecipe,
    PretrainingRecipe,
    Recipe,
)
from aimv2_lab.training.contrastive import ContrastiveStepResult, contrastive_step
from aimv2_lab.training.distillation import DistillationStepResult, FeatureStepResult, distillation_losses
from aimv2_lab.training.engine import Engine, Predictor
from aimv2_lab.training.native import native_losses


class StepResult(NamedTuple):
    """Scalars of one step: the global batch's losses and the gradient norm before clipping.

    The loss of what a recipe does not learn, pixels or text, is 0.
    """

    total: Tensor
    pixel: Tensor
    text: Tensor
    gradient_norm: Tensor


class ClassStepResult(NamedTuple):
    """The same of a step of fine-tuning: cross-entropy, share of right answers, gradient norm."""

    total: Tensor
    top1: Tensor
    gradient_norm: Tensor


AnyLosses = Losses | ClassLosses | FeatureLosses | DistillationLosses
AdditiveStepResult = StepResult | ClassStepResult | FeatureStepResult | DistillationStepResult
AnyStepResult = AdditiveStepResult | ContrastiveStepResult


def result_type(recipe: AdditiveRecipe) -> type[AdditiveStepResult]:
    """What a step of this recipe measures."""
    if isinstance(recipe, FinetuneRecipe):
        return ClassStepResult
    if isinstance(recipe, DistillationRecipe):
        return DistillationStepResult if recipe.pretraining_weight else FeatureStepResult
    return StepResult


def loss_counts(batch: Batch, recipe: AnyRecipe) -> LossCounts:
    """How many patches, tokens and images of the batch count: known before any forward pass."""
    if isinstance(recipe, MaskedImageRecipe):
        patches = len(batch) * recipe.hidden_patches
    else:
        patches = batch.counted_patches(recipe.encoder.patches)
    return LossCounts(patches, batch.counted_tokens, len(batch))


@overload
def batch_losses(
    predictor: Predictor, batch: Batch, counts: LossCounts, recipe: PretrainingRecipe | MaskedImageRecipe
) -> Losses: ...
@overload
def batch_losses(predictor: Predictor, batch: Batch, counts: LossCounts, recipe: FinetuneRecipe) -> ClassLosses: ...
@overload
def batch_losses(predictor: Predictor, batch: Batch, counts: LossCounts, recipe: AdditiveRecipe) -> AnyLosses: ...
def batch_losses(predictor: Predictor, batch: Batch, counts: LossCounts, recipe: AdditiveRecipe) -> AnyLosses:
    """The share of one (micro-)batch in the losses of the global batch that `counts` describes."""
    if isinstance(batch, NativeBatch):
        assert isinstance(recipe, Recipe)
        return native_losses(predictor, batch, counts, recipe)
    images = batch.images  # once: it is computed anew at every access
    if isinstance(recipe, FinetuneRecipe):
        return class_losses(predictor.forward(images), batch.tokens[:, 0], counts.tokens)
    if isinstance(recipe, MaskedImageRecipe):
        assert batch.patch_order is not None
        said = predictor.forward(images, batch.patch_order)
        return masked_losses(said, images, batch.patch_order, counts.patches, recipe.encoder.patch_size)
    sees_all = recipe.objective.encoder_attention == "bidirectional"
    text = batch.counted_text()
    at_once = () if batch.parallel is None else (batch.parallel,)
    said = predictor.forward(images, batch.tokens, None if sees_all else batch.prefix_lengths, text.slots, *at_once)
    predictions = said.predictions if isinstance(recipe, DistillationRecipe) else said
    predicted = None if predictions is None else _predicted(predictions, images, text, batch, counts, recipe)
    if isinstance(recipe, DistillationRecipe):
        return distillation_losses(said.errors, counts.images, predicted, recipe.pretraining_weight)
    assert predicted is not None
    return predicted


def _predicted(
    predictions: Predictions,
    images: Tensor,
    text: CountedText,
    batch: Batch,
    counts: LossCounts,
    recipe: PretrainingRecipe | DistillationRecipe,
) -> Losses:
    if recipe.objective.target == "none":
        return caption_losses(predictions.logits, text.tokens, text.counted, counts)
    return losses(
        predictions,
        in_order(images, recipe.encoder.patch_size, recipe.objective.patch_order),
        text.tokens,
        text.counted,
        batch.prefix_lengths,
        counts,
        recipe.objective.pixel_weight,
        recipe.encoder.patch_size,
        recipe.objective.target,
    )


def mean_losses(sums: Sequence[float], counts: LossCounts, recipe: AdditiveRecipe) -> dict[str, float]:
    """Losses by name from the sums that `batch_losses` gives with counts of one."""
    number = {"pixel": counts.patches, "text": counts.tokens, "features": counts.images, "top1": counts.tokens}
    total, *parts = result_type(recipe)._fields[:-1]
    means = {part: value / max(number[part], 1) for part, value in zip(parts, sums[1:], strict=True)}
    if isinstance(recipe, FinetuneRecipe):
        return {total: sums[0] / max(counts.tokens, 1), **means}
    predicted = means.get("text", 0.0) + recipe.objective.pixel_weight * means.get("pixel", 0.0)
    if isinstance(recipe, DistillationRecipe):
        predicted = means["features"] + recipe.pretraining_weight * predicted
    return {total: predicted, **means}


@overload
def train_step(
    engine: Engine, batch: Batch, counts: LossCounts, recipe: PretrainingRecipe | MaskedImageRecipe
) -> StepResult: ...
@overload
def train_step(engine: Engine, batch: Batch, counts: LossCounts, recipe: FinetuneRecipe) -> ClassStepResult: ...
@overload
def train_step(engine: Engine, batch: Batch, counts: LossCounts, recipe: AnyRecipe) -> AnyStepResult: ...
def train_step(engine: Engine, batch: Batch, counts: LossCounts, recipe: AnyRecipe) -> AnyStepResult:
    """Forward and backward over this rank's micro-batches, then one update.

    `counts` are the global batch's, so that the micro-batches' losses are shares that add up. A contrastive loss, which
    is no such sum, has a step of its own.
    """
    if isinstance(recipe, ContrastiveRecipe):
        return contrastive_step(engine, batch, recipe)
    shares = []
    for micro_batch in batch.split(recipe.training.micro_batch_size):
        share = batch_losses(engine, micro_batch, counts, recipe)
        engine.backward(share.total)
        shares.append(torch.stack(share).detach())
    return result_type(recipe)._make([*torch.stack(shares).sum(dim=0), engine.step()])
