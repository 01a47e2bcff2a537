"""Likelihoods of captions: summed over counted tokens alone, the same however they are batched, and by picture."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.evaluation.caption_choice import (
    caption_likelihoods,
    likelihood_table,
    retrieval_at_1,
    without_prior,
)
from aimv2_lab.model.aimv2 import AIMv2
from tests.model.tiny import RECIPE, images, wide

TEXTS = ["a red circle.", "a large blue square is above a small green triangle.", "there are two objects."]
MODEL = wide(AIMv2(RECIPE.change({"decoder.vocabulary": 128, "decoder.text_tokens": 12})))
TOKENIZER = load_tokenizer("world")


def test_a_caption_is_worth_the_same_whatever_it_is_padded_with() -> None:
    features = MODEL.encoder(images(3))
    together = caption_likelihoods(MODEL, features, TOKENIZER, TEXTS)
    for row, text in enumerate(TEXTS):
        alone = caption_likelihoods(MODEL, features[row : row + 1], TOKENIZER, [text])
        tokens, _ = TOKENIZER.encode([text], 12)
        by_hand = MODEL.decoder(features[row : row + 1], tokens).logits.log_softmax(-1).gather(2, tokens[:, :, None])
        assert alone.item() == pytest.approx(by_hand.sum().item(), rel=1e-5)
        assert alone.item() == pytest.approx(together[row].item(), rel=1e-5)
    with pytest.raises(ValueError, match="2 texts for 3 pictures"):
        caption_likelihoods(MODEL, features, TOKENIZER, TEXTS[:2])


def test_a_table_holds_every_text_for_every_picture() -> None:
    features = MODEL.encoder(images(2))
    table = likelihood_table(MODEL, features, TOKENIZER, TEXTS, batch_size=4)
    for picture in range(2):
        expected = caption_likelihoods(MODEL, features[[picture] * 3], TOKENIZER, TEXTS)
        torch.testing.assert_close(table[picture], expected, rtol=1e-5, atol=0)


def test_the_prior_of_a_text_no_longer_decides() -> None:
    own = 2.0 * torch.eye(3)
    liked = torch.tensor([0.0, 9.0, -9.0])  # the second text is likely for every picture
    assert retrieval_at_1(own + liked) == pytest.approx((1 / 3, 1.0))
    assert retrieval_at_1(without_prior(own + liked)) == (1.0, 1.0)
    torch.testing.assert_close(without_prior(own + liked), without_prior(own))
