"""One step of a contrastive loss: exact over the global batch, however it is cut into ranks and micro-batches.

Every pair is held against every other, so a micro-batch's loss is no share of the global batch's. Hence two passes: the
first finds all embeddings and the loss's gradient with respect to them, the second carries that gradient into the
weights, a micro-batch at a time. Source: gradient caching (Gao et al. 2021, arXiv 2101.06983); a single micro-batch
needs one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, distributed

from aimv2_lab.data.batches import Batch
from aimv2_lab.model.two_towers import ContrastiveLosses, Embeddings, contrastive_losses
from aimv2_lab.recipes import ContrastiveRecipe
from aimv2_lab.training.engine import Engine, Predictor
from aimv2_lab.training.ranks import Ranks


class ContrastiveStepResult(NamedTuple):
    """Scalars of one step: this rank's share of the global batch's loss and of its matches, and the gradient norm."""

    total: Tensor
    matched: Tensor
    gradient_norm: Tensor


def contrastive_step(engine: Engine, batch: Batch, recipe: ContrastiveRecipe) -> ContrastiveStepResult:
    """Forward and backward over this rank's part of a global batch, then one update; called by all ranks."""
    parts = list(batch.split(recipe.training.micro_batch_size))
    one_pass = len(parts) == 1
    with torch.set_grad_enabled(one_pass):
        said = [embeddings(engine, part) for part in parts]
    share, gradients = _loss_and_gradients(joined(said), engine.ranks, recipe)
    for part, found, gradient in zip(parts, said, _cut(gradients, said), strict=True):
        again = found if one_pass else embeddings(engine, part)
        engine.backward(_product(again, gradient))
    return ContrastiveStepResult(*share, engine.step())


def embeddings(predictor: Predictor, batch: Batch) -> Embeddings:
    """Both towers' view of a batch; a text ends where its last token counts."""
    ends = (batch.text_lengths - 1).to(batch.tokens.device)
    found: Embeddings = predictor.forward(batch.images, batch.tokens, ends)
    return found


def joined(said: Sequence[Embeddings]) -> Embeddings:
    """The embeddings of several micro-batches as one."""
    images, texts = (torch.cat([getattr(found, name) for found in said]) for name in ("images", "texts"))
    return Embeddings(images, texts, said[0].scale, said[0].bias)


def _loss_and_gradients(
    own: Embeddings, ranks: Ranks, recipe: ContrastiveRecipe
) -> tuple[ContrastiveLosses, Embeddings]:
    """This rank's share of the loss, and the whole loss's gradient with respect to this rank's embeddings.

    That with respect to scale and bias is this rank's share: every rank has the same two, and an engine adds up.
    """
    images, texts = (_of_all_ranks(vectors.detach(), ranks).requires_grad_() for vectors in (own.images, own.texts))
    scale, bias = (value.detach().clone().requires_grad_() for value in (own.scale, own.bias))
    first = ranks.rank * len(own.images)
    rows = slice(first, first + len(own.images))
    share = contrastive_losses(Embeddings(images[rows], texts[rows], scale, bias), images, texts, first, recipe.loss)
    share.total.backward()
    of_images, of_texts = (_added_up(_gradient(vectors), ranks)[rows] for vectors in (images, texts))
    gradients = Embeddings(of_images, of_texts, _gradient(scale), _gradient(bias))
    return ContrastiveLosses(*(value.detach() for value in share)), gradients


def _cut(gradients: Embeddings, said: Sequence[Embeddings]) -> list[Embeddings]:
    """The gradients of each micro-batch; of scale and bias, which all of them have, each carries an equal part."""
    sizes = [len(found.images) for found in said]
    parts = zip(gradients.images.split(sizes), gradients.texts.split(sizes), strict=True)
    scale, bias = gradients.scale / len(said), gradients.bias / len(said)
    return [Embeddings(images, texts, scale, bias) for images, texts in parts]


def _product(said: Embeddings, gradient: Embeddings) -> Tensor:
    """A scalar whose gradient with respect to what is said is `gradient`."""
    return torch.stack([(value * towards).sum() for value, towards in zip(said, gradient, strict=True)]).sum()


def _of_all_ranks(vectors: Tensor, ranks: Ranks) -> Tensor:
    """Every rank's vectors (b, P), one rank's after the other's: (B, P); over the devices' own process group."""
    if ranks.size == 1:
        return vectors.clone()
    found = [torch.empty_like(vectors) for _ in range(ranks.size)]
    distributed.all_gather(found, vectors.contiguous())
    return torch.cat(found)


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def _added_up(vectors: Tensor, ranks: Ranks) -> Tensor:
    if ranks.size > 1:
        distributed.all_reduce(vectors)
    return vectors
