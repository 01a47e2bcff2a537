"""The same batch cut into micro-batches: with the counts of the global batch, and with each part's own."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aimv2_lab.data.batches import Batch
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.training.step import batch_losses, loss_counts


class Cut(NamedTuple):
    """Pixel and caption loss of a batch, and the gradient (parameters,) of their total."""

    pixel: float
    text: float
    gradient: Tensor


class Pulls(NamedTuple):
    """Norms of the two losses' gradients in the encoder, not yet weighed, and the cosine of the angle between them."""

    pixel: float
    text: float
    cosine: float


def cut_losses(model: AIMv2, batch: Batch, micro_batch_size: int, own_counts: bool) -> Cut:
    """Losses and gradient of a batch that is cut up.

    Each part is divided by the global counts, and the shares are added; or, with `own_counts`, by its own counts, and
    the parts' means are averaged: the mistake of most training loops. Parts are of equal size, or ValueError.
    """
    if len(batch) % micro_batch_size:
        raise ValueError(f"{len(batch)} pairs cannot be cut into equal micro-batches of {micro_batch_size}")
    whole = loss_counts(batch, model.recipe)
    parts = [batch.rows(rows) for rows in torch.arange(len(batch)).split(micro_batch_size)]
    share = 1 / len(parts) if own_counts else 1.0
    weights = list(model.parameters())
    pixel, text, gradient = 0.0, 0.0, torch.zeros(sum(weight.numel() for weight in weights))
    for part in parts:
        found = batch_losses(model, part, loss_counts(part, model.recipe) if own_counts else whole, model.recipe)
        pixel, text = pixel + share * found.pixel.item(), text + share * found.text.item()
        gradient += share * _joined(torch.autograd.grad(found.total, weights))
    return Cut(pixel, text, gradient)


def encoder_pulls(model: AIMv2, batch: Batch) -> Pulls:
    """How hard each loss pulls on the encoder, and whether they pull the same way."""
    recipe, weights = model.recipe, list(model.encoder.parameters())
    found = batch_losses(model, batch, loss_counts(batch, recipe), recipe)
    pixel = _joined(torch.autograd.grad(found.pixel, weights, retain_graph=True))
    text = _joined(torch.autograd.grad(found.text, weights))
    return Pulls(pixel.norm().item(), text.norm().item(), torch.cosine_similarity(pixel, text, dim=0).item())


def _joined(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])
