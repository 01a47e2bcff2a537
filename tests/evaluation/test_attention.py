"""Recomputed attention weights are those that the model used."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange

from aimv2_lab.evaluation.attention import (
    attention_weights,
    decoder_attention,
    encoder_attention,
    read_from_picture,
    recorded_weights,
)
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.generation import generate
from aimv2_lab.model.layers import Attention
from aimv2_lab.model.masks import causal_mask, prefix_mask
from aimv2_lab.recipes import recipe

DRAWS = torch.Generator().manual_seed(0)
IMAGES = torch.randn(2, 3, 48, 48, generator=DRAWS)
TOKENS = torch.randint(3, 40, (2, 5), generator=DRAWS)


@pytest.fixture(scope="module")
def model() -> AIMv2:
    model = AIMv2(recipe("tiny")).eval()
    draw_wide_weights(model, torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize("how", ["open", "causal", "prefix"])
@torch.no_grad()
def test_weights_times_values_are_the_layers_output(how: str) -> None:
    layer = Attention(width=16, heads=4)
    draw_wide_weights(layer, torch.Generator().manual_seed(1))
    x = torch.randn(3, 9, 16, generator=torch.Generator().manual_seed(2))
    mask = prefix_mask(torch.tensor([1, 4, 8]), 9) if how == "prefix" else None
    weights = attention_weights(layer, x, mask, causal=how == "causal")
    values = rearrange(layer.qkv(x), "b t (three h d) -> three b h t d", three=3, h=4)[2]
    mine = layer.out(rearrange(weights @ values, "b h t d -> b t (h d)"))
    torch.testing.assert_close(mine, layer(x, mask, how == "causal"), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 4, 9))


def test_what_must_not_be_seen_has_weight_zero(model: AIMv2) -> None:
    lengths = torch.tensor([3, 9])
    encoder = encoder_attention(model.encoder, IMAGES, lengths)
    assert encoder.shape == (4, 2, 4, 16, 16)
    hidden = ~prefix_mask(lengths, 16).expand(4, -1, 4, -1, -1)
    assert (encoder[hidden] == 0).all() and (encoder[~hidden] > 0).any()
    decoder = decoder_attention(model, IMAGES, TOKENS)
    assert decoder.shape == (4, 2, 4, 21, 21)
    assert (decoder[..., ~causal_mask(21)] == 0).all()
    torch.testing.assert_close(decoder.sum(dim=-1), torch.ones(4, 2, 4, 21))


def test_without_a_prefix_every_patch_may_see_every_patch(model: AIMv2) -> None:
    soft = AIMv2(recipe("tiny")).eval()  # small weights, so that no weight rounds to zero
    assert (encoder_attention(soft.encoder, IMAGES) > 0).all()


def test_the_model_is_left_as_it_was(model: AIMv2) -> None:
    before = model(IMAGES, TOKENS)
    with recorded_weights(model.decoder.blocks) as weights:
        during = model(IMAGES, TOKENS)
    model(IMAGES, TOKENS)
    assert len(weights) == 4  # nothing is recorded outside
    assert torch.equal(before.logits, during.logits)


def test_a_cache_is_refused(model: AIMv2) -> None:
    with pytest.raises(ValueError, match="without a key-value cache"), recorded_weights(model.decoder.blocks):
        generate(model, IMAGES, end_id=1, max_tokens=3)


def test_the_slot_that_predicts_a_token_is_read() -> None:
    weights = torch.arange(2 * 3 * 4 * 7 * 7.0).reshape(2, 3, 4, 7, 7)
    places = torch.tensor([0, 2, 1])
    found = read_from_picture(weights, places, patches=4)
    for row, place in enumerate(places.tolist()):
        assert torch.equal(found[:, row], weights[:, row, :, 4 + place, :4].mean(dim=1))
