"""Shares of the global counts add up to the loss of the whole batch; means of the parts' own counts do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aimv2_lab.data.batches import Batch
from aimv2_lab.lessons.micro_batches import cut_losses, encoder_pulls
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.training.loop import build_model
from tests.training.toy import SMALL, random_batch


@pytest.fixture(scope="module")
def model() -> AIMv2:
    return build_model(SMALL)


@pytest.fixture(scope="module")
def batch() -> Batch:
    lengths = torch.tensor([1, 3, 1, 1, 3, 3, 2, 3])
    return replace(random_batch(0), prefix_lengths=lengths)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_shares_add_up_and_means_do_not(model: AIMv2, batch: Batch, size: int) -> None:
    whole = cut_losses(model, batch, 8, own_counts=False)
    shares, means = (cut_losses(model, batch, size, own_counts=own) for own in (False, True))
    assert (shares.pixel, shares.text) == pytest.approx((whole.pixel, whole.text), rel=1e-5)
    assert (shares.gradient - whole.gradient).norm() < 1e-5 * whole.gradient.norm()
    assert abs(means.pixel - whole.pixel) > 1e-4 * whole.pixel
    assert (means.gradient - whole.gradient).norm() > 1e-3 * whole.gradient.norm()


def test_uncut_both_ways_are_one(model: AIMv2, batch: Batch) -> None:
    shares, means = (cut_losses(model, batch, 8, own_counts=own) for own in (False, True))
    assert (means.pixel, means.text) == (shares.pixel, shares.text)
    assert torch.equal(means.gradient, shares.gradient)


def test_the_mean_of_single_pictures_means_weighs_pictures_alike(model: AIMv2, batch: Batch) -> None:
    each = [cut_losses(model, part, 1, own_counts=True).pixel for part in batch.split(1)]
    assert cut_losses(model, batch, 1, own_counts=True).pixel == pytest.approx(sum(each) / 8, rel=1e-5)


def test_unequal_parts_are_refused(model: AIMv2, batch: Batch) -> None:
    with pytest.raises(ValueError, match="8 pairs cannot be cut into equal micro-batches of 3"):
        cut_losses(model, batch, 3, own_counts=True)


def test_pulls_are_those_of_the_two_gradients_in_the_encoder(model: AIMv2, batch: Batch) -> None:
    """The total's gradient is the weighed sum of both, so its length follows from norms and angle."""
    pull, weight = encoder_pulls(model, batch), model.recipe.objective.pixel_weight
    whole = cut_losses(model, batch, 8, own_counts=False).gradient
    of_encoder = whole[: sum(weights.numel() for weights in model.encoder.parameters())]
    squared = pull.text**2 + (weight * pull.pixel) ** 2 + 2 * pull.cosine * pull.text * weight * pull.pixel
    assert next(iter(model.named_parameters()))[0].startswith("encoder.")
    assert of_encoder.norm().item() == pytest.approx(squared**0.5, rel=1e-4)
