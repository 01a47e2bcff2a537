"""An image tower and a text tower that meet in one space, and the losses that say which pairs belong together."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from aimv2_lab.model.aimv1 import encoder_of
from aimv2_lab.model.pooling import PoolingHead
from aimv2_lab.model.text_tower import TextTower
from aimv2_lab.recipes import ContrastiveRecipe

SCALE_CAP = 100.0  # of the logit scale under the softmax loss; beyond it the scale has no gradient (released code)
# Where the logit scale and the bias start: CLIP's 1 / 0.07, SigLIP's 10 and -10.
_STARTS = {"softmax": (math.log(1 / 0.07), 0.0), "sigmoid": (math.log(10), -10.0)}


class Embeddings(NamedTuple):
    """Pictures and texts of a batch in the shared space, `images` and `texts` (B, P) of length one; logits are
    `scale` times their cosines plus `bias`, both scalars."""

    images: Tensor
    texts: Tensor
    scale: Tensor
    bias: Tensor


class ContrastiveLosses(NamedTuple):
    """Scalars: the loss, and the share of pictures whose likeliest text in the global batch is their own."""

    total: Tensor
    matched: Tensor


class TwoTowers(nn.Module):
    """Encoder with pooling head, text tower, and their projections without bias. Source: the released LiT model."""

    def __init__(self, recipe: ContrastiveRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = encoder_of(recipe.encoder)
        self.encoder.head = PoolingHead(recipe.encoder.width, recipe.encoder.heads)
        self.text = TextTower(recipe.text)
        self.image_projection = nn.Linear(recipe.encoder.width, recipe.shared_width, bias=False)
        self.text_projection = nn.Linear(recipe.text.width, recipe.shared_width, bias=False)
        log_scale, bias = _STARTS[recipe.loss]
        # Of one number each, because DeepSpeed cannot hand out parameters without dimensions.
        self.log_scale = nn.Parameter(torch.tensor([log_scale]))
        self.bias = nn.Parameter(torch.tensor([bias]), requires_grad=recipe.loss == "sigmoid")
        for projection in (self.image_projection, self.text_projection):
            nn.init.normal_(projection.weight, std=projection.in_features**-0.5)  # CLIP's

    def forward(self, images: Tensor, tokens: Tensor, ends: Tensor) -> Embeddings:
        """Embeddings, in float32, of normalised images (B, 3, height, width) and texts (B, T) that end at `ends`."""
        scale, bias = self.log_scale.float()[0], self.bias.float()[0]
        if self.recipe.loss == "softmax":
            scale = scale.clamp(max=math.log(SCALE_CAP))
        return Embeddings(self.embed_images(images), self.embed_texts(tokens, ends), scale.exp(), bias)

    def embed_images(self, images: Tensor) -> Tensor:
        """Pictures in the shared space (B, P), of length one."""
        assert self.encoder.head is not None
        return _unit(self.image_projection(self.encoder.head(self.encoder(images))))

    def embed_texts(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """Texts in the shared space (B, P), of length one."""
        return _unit(self.text_projection(self.text(tokens, ends)))


def contrastive_losses(
    own: Embeddings, images: Tensor, texts: Tensor, first: int, loss: Literal["softmax", "sigmoid"]
) -> ContrastiveLosses:
    """This rank's share of the global batch's losses; shares of all ranks add up to them.

    `images` and `texts` (B, P) are the global batch's, of which `own` are the rows from `first` on. "softmax": the mean
    of the cross-entropies of every picture over all texts and of every text over all pictures (CLIP). "sigmoid": every
    picture with every text is a question of its own, summed over texts and averaged over pictures (SigLIP).
    """
    count, rows = len(images), torch.arange(len(own.images), device=images.device)
    labels = rows + first
    to_texts = own.scale * own.images @ texts.T + own.bias
    if loss == "softmax":
        to_images = own.scale * own.texts @ images.T + own.bias
        both = [functional.cross_entropy(logits, labels, reduction="sum") for logits in (to_texts, to_images)]
        total = (both[0] + both[1]) / 2
    else:
        signs = torch.full_like(to_texts, -1.0).index_put((rows, labels), torch.ones_like(to_texts[:, 0]))
        total = -functional.logsigmoid(signs * to_texts).sum()
    matched = (to_texts.argmax(dim=1) == labels).float().sum()
    return ContrastiveLosses(total / count, matched / count)


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors.float(), dim=-1)
