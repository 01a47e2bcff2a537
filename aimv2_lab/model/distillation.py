"""A student encoder that learns to say what a frozen teacher says of every patch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from aimv2_lab.model.aimv1 import encoder_of
from aimv2_lab.model.decoder import MultimodalDecoder, Predictions
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.patches import standardise
from aimv2_lab.recipes import DistillationRecipe


class Distilled(NamedTuple):
    """What student and teacher say: `errors` (B, I) between them, and the student's predictions where it has any."""

    errors: Tensor
    predictions: Predictions | None


class Distillation(nn.Module):
    """Student, frozen teacher, a linear head between their widths, and a decoder where pre-training goes on beside.

    The teacher's features are standardised patch by patch, as pixel targets are, so that no few large ones decide the
    loss; student and teacher see the picture whole, as at inference. Only the prediction of patches and tokens is under
    the prefix mask, in a pass of its own. All of it is our choice: how the released student was taught is not known.
    """

    def __init__(self, recipe: DistillationRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = VisionEncoder(recipe.encoder)
        self.teacher = encoder_of(recipe.teacher_encoder).requires_grad_(False)
        self.head = nn.Linear(recipe.encoder.width, recipe.teacher_encoder.width)
        decodes = recipe.pretraining_weight > 0
        sizes = (recipe.encoder.width, recipe.encoder.patch_values)
        self.decoder = MultimodalDecoder(recipe.decoder, *sizes) if decodes else None

    def forward(
        self,
        images: Tensor,
        tokens: Tensor,
        prefix_lengths: Tensor | None = None,
        text_slots: Tensor | None = None,
    ) -> Distilled:
        """Squared errors, averaged over the teacher's width, of images (B, 3, height, width), and predictions as
        `AIMv2` makes them."""
        with torch.no_grad():
            targets = standardise(self.teacher(images).float()).values
        errors = (self.head(self.encoder(images)).float() - targets).square().mean(dim=-1)
        if self.decoder is None:
            return Distilled(errors, None)
        return Distilled(errors, self.decoder(self.encoder(images, prefix_lengths), tokens, text_slots))


class FeatureLosses(NamedTuple):
    """Scalars of a run that learns features alone; the total is the feature loss."""

    total: Tensor
    features: Tensor


class DistillationLosses(NamedTuple):
    """Scalars of a run that goes on with pre-training beside: `total` = features + pretraining_weight * (text +
    pixel_weight * pixel)."""

    total: Tensor
    features: Tensor
    pixel: Tensor
    text: Tensor


def feature_loss(errors: Tensor, images: int) -> Tensor:
    """This batch's share of the mean of errors (B, I) over the `images` of the global batch and their patches."""
    return errors.mean(dim=1).sum() / max(images, 1)
