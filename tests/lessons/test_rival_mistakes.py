"""The hurried loss differs from CLIP's wherever a batch is cut, and is easier."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from aimv2_lab.lessons.rival_mistakes import loss_over_own_negatives
from aimv2_lab.model.two_towers import Embeddings, contrastive_losses


def said() -> Embeddings:
    draws = torch.Generator().manual_seed(0)
    images, texts = (functional.normalize(torch.randn(8, 6, generator=draws), dim=1) for _ in range(2))
    return Embeddings(images, texts, torch.tensor(5.0), torch.tensor(0.0))


def test_only_an_uncut_batch_has_clips_loss() -> None:
    found = said()
    whole = contrastive_losses(found, found.images, found.texts, 0, "softmax").total.item()
    assert loss_over_own_negatives(found, 8).item() == pytest.approx(whole)
    losses = [loss_over_own_negatives(found, size).item() for size in (8, 4, 2, 1)]
    assert losses == sorted(losses, reverse=True) and losses[-1] == 0


def test_the_gradient_that_the_package_tests_hold_is_another_one() -> None:
    """What `test_the_gradient_is_that_of_the_whole_batch` compares would differ under the mistake."""
    gradients = []
    for size in (8, 2):
        found = said()._replace(images=said().images.requires_grad_())
        gradients.append(torch.autograd.grad(loss_over_own_negatives(found, size), found.images)[0])
    assert (gradients[0] - gradients[1]).norm() > 0.1 * gradients[0].norm()
