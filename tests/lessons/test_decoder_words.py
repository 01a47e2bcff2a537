"""Losses by kind and by place add up to the whole; gradients stop where nothing leads."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.lessons.decoder_variants import caption_first, with_decoder
from aimv2_lab.lessons.decoder_words import caption_gradients, loss_by_kind, loss_by_place, next_words
from aimv2_lab.lessons.held_out import HeldOut, held_out
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe

TOKENIZER = load_tokenizer("world")


def untrained() -> AIMv2:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AIMv2(recipe("tiny")).eval()


@pytest.fixture(scope="module")
def scenes() -> HeldOut:
    return held_out(recipe("tiny"), 6, view=1)


@pytest.fixture(scope="module")
def tokens(scenes: HeldOut) -> torch.Tensor:
    return TOKENIZER.encode(scenes.captions, recipe("tiny").text_tokens)[0]


def test_losses_by_kind_are_the_means_over_their_words() -> None:
    words = [["a", "red", "bar", "end"], ["blue", "end"]]
    errors = torch.tensor([[1.0, 2.0, 3.0, 4.0], [6.0, 7.0, 99.0, 99.0]])  # padding costs 99, and counts for nothing
    found = loss_by_kind({"once": errors, "twice": 2 * errors}, words)
    assert found == {"colour": [4.0, 8.0], "shape": [3.0, 6.0], "function word": [4.0, 8.0]}


def test_places_stop_where_captions_get_few() -> None:
    counted = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]]).bool()
    errors = torch.tensor([[1.0, 4.0, 9.0], [2.0, 6.0, 99.0], [3.0, 99.0, 99.0]])
    assert loss_by_place(errors, counted, least=2).tolist() == [2.0, 5.0]
    assert loss_by_place(errors, counted, least=1).tolist() == [2.0, 5.0, 9.0]


def test_gradients_reach_all_patches_with_the_picture_first_and_none_behind_the_caption(
    scenes: HeldOut, tokens: torch.Tensor
) -> None:
    model = untrained()
    gradients = caption_gradients(model, scenes.images[0], tokens[0, :4])
    assert gradients.shape == (4, 16) and (gradients > 0).all()
    behind = caption_gradients(with_decoder(model, caption_first), scenes.images[0], tokens[0, :4])
    assert not behind.any()


def test_next_words_are_probabilities_beside_both_pictures(scenes: HeldOut, tokens: torch.Tensor) -> None:
    model = untrained()
    found = next_words(model, scenes, TOKENIZER)
    assert len(found) == 6 and found[5].other_picture.equal(found[0].picture)
    exchanged = model(scenes.images[1:2], tokens[:1]).logits.softmax(dim=-1)
    assert torch.allclose(found[0].other, exchanged[0], atol=1e-5)
    assert torch.allclose(found[0].own.sum(dim=-1), torch.ones(len(found[0].own)), atol=1e-5)
    for place, word in enumerate(found[2].words):
        assert found[2].vocabulary.index(word) == int(tokens[2, place])
