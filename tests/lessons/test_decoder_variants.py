"""Planted decoders are what their names say, judged by the meter; the counter counts every slot once."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.lessons.decoder_variants import (
    Decode,
    caption_first,
    counted_slots,
    stored_text_first,
    unshifted,
    with_decoder,
)
from aimv2_lab.lessons.leak import Leak, assert_no_leak
from aimv2_lab.lessons.model_leaks import allowed_in_model, model_leaks
from aimv2_lab.model.decoder import MultimodalDecoder
from aimv2_lab.model.generation import generate
from aimv2_lab.model.masks import causal_mask
from tests.model.tiny import CAPTIONS, PATCHES, TOKENS, images, wide_model

LENGTH = 4
ALLOWED = allowed_in_model(LENGTH, PATCHES, TOKENS)


def seen(decode: Decode) -> torch.Tensor:
    return model_leaks(with_decoder(wide_model(), decode), images(), CAPTIONS[0], LENGTH) > 0


def test_planting_the_decoder_itself_changes_nothing_and_planting_leaves_the_model_alone() -> None:
    model = wide_model()
    before = model(images(), CAPTIONS)
    same = with_decoder(model, MultimodalDecoder.forward)(images(), CAPTIONS)
    assert torch.equal(before.logits, same.logits)
    with_decoder(model, unshifted)
    assert torch.equal(before.logits, model(images(), CAPTIONS).logits)


def test_caption_first_shows_the_caption_to_the_pixels_and_no_patch_to_the_caption() -> None:
    found = seen(caption_first)
    assert not found[PATCHES:, :PATCHES].any()
    assert found[:PATCHES, PATCHES:-1].all()
    assert not found[:, -1].any()  # the last token never enters the decoder
    assert torch.equal(found[PATCHES:, PATCHES:], ALLOWED[PATCHES:, PATCHES:])


def test_the_unshifted_decoder_sees_just_the_token_that_it_predicts_too_much() -> None:
    leaks = seen(unshifted) & ~ALLOWED
    assert leaks.nonzero().tolist() == [[PATCHES + token, PATCHES + token] for token in range(TOKENS)]
    with pytest.raises(Leak, match=f"{TOKENS} forbidden pairs"):
        assert_no_leak(model_leaks(with_decoder(wide_model(), unshifted), images(), CAPTIONS[0], LENGTH), ALLOWED)


def test_the_mask_decides_where_slots_are_stored_elsewhere() -> None:
    in_memory_order = stored_text_first(lambda patches, tokens: causal_mask(patches + tokens))
    assert torch.equal(seen(in_memory_order), seen(caption_first))
    model = wide_model()
    theirs, same = (with_decoder(model, rule)(images(), CAPTIONS) for rule in (caption_first, in_memory_order))
    assert torch.allclose(theirs.logits, same.logits, rtol=0, atol=1e-12)
    assert torch.allclose(theirs.pixels, same.pixels, rtol=0, atol=1e-12)


def test_every_slot_passes_once_with_a_cache_and_again_without() -> None:
    model = wide_model()
    for use_cache, expected in ((True, [PATCHES + 1, 1, 1, 1]), (False, [PATCHES + 1 + step for step in range(4)])):
        with counted_slots(model.decoder) as passed:
            generate(model, images(), end_id=-1, max_tokens=4, use_cache=use_cache)
        assert passed == expected
        generate(model, images(), end_id=-1, max_tokens=1)
        assert passed == expected, "the counter goes on counting after its block"
