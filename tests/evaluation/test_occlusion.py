"""Hiding a patch changes that patch alone, and costs a word what it took from there."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.evaluation.contribution import log_probabilities
from aimv2_lab.evaluation.occlusion import Paint, gradient_size, hidden, occlusion_loss, rank_agreement
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe

DRAWS = torch.Generator().manual_seed(0)
IMAGES = torch.randn(3, 3, 48, 48, generator=DRAWS)
TOKENS = torch.randint(3, 40, (3, 5), generator=DRAWS)
PLACES = torch.tensor([0, 4, 2])


@pytest.mark.parametrize("paint", ["median", "mean"])
def test_one_patch_is_painted_in_the_images_own_colour(paint: Paint) -> None:
    painted = hidden(IMAGES, patch=6, patch_size=12, paint=paint)
    inside = torch.zeros(48, 48, dtype=torch.bool)
    inside[12:24, 24:36] = True  # row 1, column 2 of 4
    assert torch.equal(painted[..., ~inside], IMAGES[..., ~inside])
    pixels = IMAGES.flatten(2)
    colour = pixels.median(dim=-1).values if paint == "median" else pixels.mean(dim=-1)
    assert torch.equal(painted[..., inside], colour[..., None].expand(-1, -1, 144))


def test_the_loss_is_that_of_one_word() -> None:
    model = AIMv2(recipe("tiny")).eval()
    draw_wide_weights(model, torch.Generator().manual_seed(0))
    loss = occlusion_loss(model, IMAGES, TOKENS, PLACES)
    assert loss.shape == (3, 16)
    with torch.no_grad():
        seen, without = (
            log_probabilities(model, model.encoder(pictures), TOKENS) for pictures in (IMAGES, hidden(IMAGES, 9, 12))
        )
    torch.testing.assert_close(loss[:, 9], (seen - without)[torch.arange(3), PLACES])


def test_gradients_are_those_of_each_captions_own_word() -> None:
    model = AIMv2(recipe("tiny")).eval()
    draw_wide_weights(model, torch.Generator().manual_seed(0))
    with torch.no_grad():  # as notebooks switch gradients off
        sizes = gradient_size(model, IMAGES, TOKENS, PLACES)
        alone = gradient_size(model, IMAGES[1:2], TOKENS[1:2], PLACES[1:2])
        other_word = gradient_size(model, IMAGES[1:2], TOKENS[1:2], PLACES[:1])
    torch.testing.assert_close(sizes[1:2], alone, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(alone, other_word, rtol=0.1)


def test_ranks_agree_whatever_the_scale() -> None:
    a = torch.tensor([[1.0, 2.0, 30.0, 4.0], [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    b = torch.tensor([[0.1, 0.2, 9.0, 0.3], [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0]])
    assert rank_agreement(a, b).tolist() == pytest.approx([1.0, -1.0, 0.6])
