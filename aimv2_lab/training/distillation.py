"""The losses of a step of distillation, and what it measures."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from aimv2_lab.model.distillation import DistillationLosses, FeatureLosses, feature_loss
from aimv2_lab.model.objective import Losses


class FeatureStepResult(NamedTuple):
    """Scalars of a step that learns features alone, and the gradient norm before clipping."""

    total: Tensor
    features: Tensor
    gradient_norm: Tensor


class DistillationStepResult(NamedTuple):
    """The same where pre-training goes on beside."""

    total: Tensor
    features: Tensor
    pixel: Tensor
    text: Tensor
    gradient_norm: Tensor


def distillation_losses(
    errors: Tensor, images: int, predicted: Losses | None, weight: float
) -> FeatureLosses | DistillationLosses:
    """This batch's share of the global batch's losses, from errors (B, I) of features and pre-training's losses."""
    features = feature_loss(errors, images)
    if predicted is None:
        return FeatureLosses(features, features)
    return DistillationLosses(features + weight * predicted.total, features, predicted.pixel, predicted.text)
