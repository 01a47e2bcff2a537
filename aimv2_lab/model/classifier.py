"""Image classification on top of an encoder, for fine-tuning."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from aimv2_lab.model.aimv1 import encoder_of
from aimv2_lab.model.pooling import AttentivePooling
from aimv2_lab.recipes import FinetuneRecipe


class Classifier(nn.Module):
    """Encoder, attentive pooling and a linear head.

    The probe's pooling without its batch norm, whose statistics would depend on how a batch is cut; the encoder's final
    norm is in its place, which is our choice, as is that the head starts from zeros. Raises ValueError where the recipe
    names no classes.
    """

    def __init__(self, recipe: FinetuneRecipe) -> None:
        super().__init__()
        if not recipe.classes:
            raise ValueError(
                "classes is empty: a classifier needs to know how many; those of the data are not read yet"
            )
        self.recipe = recipe
        self.encoder = encoder_of(recipe.encoder)
        self.pooling = AttentivePooling(recipe.encoder.width, recipe.encoder.heads)
        self.head = nn.Linear(recipe.encoder.width, len(recipe.classes))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of normalised images (B, 3, height, width), seen whole."""
        return self.head(self.pooling(self.encoder(images)))


class ClassLosses(NamedTuple):
    """Scalars: the cross-entropy, in nats, and the share of pictures whose likeliest class is their label."""

    total: Tensor
    top1: Tensor


def class_losses(logits: Tensor, labels: Tensor, count: int) -> ClassLosses:
    """Sums over logits (B, classes) with labels (B,), in float32, divided by the `count` of the global batch."""
    logits = logits.float()
    right = (logits.argmax(dim=-1) == labels).float().sum()
    return ClassLosses(functional.cross_entropy(logits, labels, reduction="sum") / count, right / count)
