"""The decoder: strictly causal over image and text, and the same with a key-value cache."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.model.decoder import MultimodalDecoder
from aimv2_lab.model.layers import KeyValueCache
from aimv2_lab.model.masks import causal_mask
from tests.model.tiny import (
    CAPTIONS,
    PATCH_VALUES,
    PATCHES,
    RECIPE,
    TOKENS,
    VOCABULARY,
    dependence,
    generator,
    wide,
)


def decoder() -> MultimodalDecoder:
    return wide(MultimodalDecoder(RECIPE.decoder, RECIPE.encoder.width, PATCH_VALUES))


def features(batch: int = 2) -> torch.Tensor:
    shape = (batch, PATCHES, RECIPE.encoder.width)
    return torch.randn(shape, generator=generator(5), dtype=torch.float64)


def test_a_pixel_output_sees_its_own_and_earlier_features_and_no_text() -> None:
    model, leaf = decoder(), features().requires_grad_()
    pixels = model(leaf, CAPTIONS).pixels
    assert pixels.shape == (2, PATCHES, PATCH_VALUES)
    seen = dependence(pixels, leaf).sum(dim=(1, 3)) > 0  # (outputs, features)
    assert torch.equal(seen, torch.ones_like(seen).tril())
    for text in (model.token_table.weight, model.text_positions, model.start):
        assert not dependence(pixels, text).any()


def test_a_text_output_sees_every_feature_and_the_tokens_before_it() -> None:
    model, leaf = decoder(), features(1).requires_grad_()
    caption = CAPTIONS[:1]
    logits = model(leaf, caption).logits
    assert logits.shape == (1, TOKENS, VOCABULARY)
    assert (dependence(logits, leaf).sum(dim=(1, 3)) > 0).all()
    seen = dependence(logits, model.token_table.weight).sum(dim=-1) > 0  # (outputs, vocabulary)
    for output in range(TOKENS):
        assert seen[output].nonzero()[:, 0].tolist() == sorted(caption[0, :output].tolist())
    assert (dependence(logits, model.start).sum(dim=-1) > 0).all()


def test_every_text_slot_has_its_own_position_and_image_slots_none() -> None:
    model, leaf = decoder(), features(1)
    moved = dependence(model(leaf, CAPTIONS[:1]).logits, model.text_positions).sum(dim=-1) > 0
    assert torch.equal(moved[:, :TOKENS], torch.ones(TOKENS, TOKENS).tril().bool())
    assert not moved[:, TOKENS:].any()
    # Identical features give identical pixels, wherever they stand.
    repeated = leaf[:, :1].expand(-1, PATCHES, -1)
    same = model(repeated, CAPTIONS[:1]).pixels
    assert torch.allclose(same, same[:, :1].expand_as(same), rtol=0, atol=1e-12)


def test_predictions_are_the_heads_of_the_normed_causal_stream() -> None:
    """By hand: the slots one by one, then the blocks (which the encoder's parity covers) under a causal mask."""
    model, leaf = decoder(), features()
    text = [model.start + model.text_positions[0] + torch.zeros(2, 1)]
    text += [model.token_table.weight[CAPTIONS[:, t - 1]] + model.text_positions[t] for t in range(1, TOKENS)]
    projected = leaf @ model.projection.weight.T + model.projection.bias
    stream = torch.cat([projected, torch.stack(text, dim=1)], dim=1)
    for block in model.blocks:
        stream = block(stream, mask=causal_mask(PATCHES + TOKENS))
    hidden = model.norm(stream)
    said = model(leaf, CAPTIONS)
    expected_pixels = hidden[:, :PATCHES] @ model.pixel_head.weight.T
    expected_logits = hidden[:, PATCHES:] @ model.text_head.weight.T
    assert torch.allclose(said.pixels, expected_pixels, rtol=0, atol=1e-12)
    assert torch.allclose(said.logits, expected_logits, rtol=0, atol=1e-12)


def test_without_text_the_pixels_are_the_same() -> None:
    model, leaf = decoder(), features()
    without = model(leaf, torch.empty(2, 0, dtype=torch.long))
    assert without.logits.shape == (2, 0, VOCABULARY)
    assert torch.allclose(without.pixels, model(leaf, CAPTIONS).pixels, rtol=0, atol=1e-12)


def test_a_caption_may_fill_the_text_slots_but_not_exceed_them() -> None:
    assert decoder()(features(), torch.zeros(2, 7, dtype=torch.long)).logits.shape == (2, 7, VOCABULARY)
    with pytest.raises(ValueError, match="8 text tokens exceed the decoder's 7; cut the captions"):
        decoder()(features(), torch.zeros(2, 8, dtype=torch.long))


def test_slot_by_slot_with_a_cache_gives_the_logits_of_the_whole_sequence() -> None:
    model, leaf = decoder(), features()
    whole = model(leaf, CAPTIONS).logits
    caches = [KeyValueCache() for _ in model.blocks]
    text = model.embed_text(CAPTIONS)
    hidden = [model.run(torch.cat([model.projection(leaf), text[:, :1]], dim=1), caches)[:, -1:]]
    hidden += [model.run(text[:, slot : slot + 1], caches) for slot in range(1, TOKENS)]
    assert torch.allclose(model.text_head(torch.cat(hidden, dim=1)), whole, rtol=0, atol=1e-12)


def test_two_new_slots_after_the_first_call_are_refused() -> None:
    """Without a mask the first of them would see the second."""
    model = decoder()
    caches = [KeyValueCache() for _ in model.blocks]
    text = model.embed_text(CAPTIONS)
    model.run(text[:, :1], caches)
    with pytest.raises(ValueError, match="2 new slots"):
        model.run(text[:, 1:3], caches)


def test_initial_weights_are_drawn_as_in_the_released_training_code() -> None:
    torch.manual_seed(0)
    model = MultimodalDecoder(RECIPE.change({"decoder.width": 256, "decoder.vocabulary": 512}).decoder, 128, 192)
    deviations = {
        "start": 0.02,
        "token_table.weight": 0.02,
        "text_positions": 0.01,
        "pixel_head.weight": (13 * 256) ** -0.5,
        "text_head.weight": (13 * 256) ** -0.5,
    }
    for name, deviation in deviations.items():
        assert model.get_parameter(name).std().item() == pytest.approx(deviation, rel=0.1), name
    assert model.projection.weight.abs().max().item() == pytest.approx((6 / (128 + 256)) ** 0.5, rel=1e-2)
    assert not model.projection.bias.any()
