"""What a picture contributes to a word: right on toys, and none where the picture does not matter."""

from __future__ import annotations

import math

import pytest
import torch

from aimv2_lab.data.captions import words as all_words
from aimv2_lab.evaluation.contribution import (
    OTHER_WORDS,
    WORD_KINDS,
    by_word_kind,
    contribution,
    first_of_kind,
    log_probabilities,
    own_and_others,
    word_kind,
)
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe

DRAWS = torch.Generator().manual_seed(0)
IMAGES = torch.randn(4, 3, 48, 48, generator=DRAWS)
TOKENS = torch.randint(3, 40, (4, 5), generator=DRAWS)


def test_a_toy_worked_out_by_hand() -> None:
    found = contribution(torch.tensor([0.5, 0.2]).log(), torch.tensor([[0.1, 0.2], [0.3, 0.2]]).log())
    assert found.tolist() == pytest.approx([math.log(0.5 / 0.2), 0.0], abs=1e-6)


def test_what_every_other_picture_rules_out_stays_finite() -> None:
    found = contribution(torch.tensor([-1.0]), torch.tensor([[-300.0], [-300.0]]))
    assert found.item() == pytest.approx(299.0)


def test_each_caption_meets_its_own_image_and_the_ones_that_follow() -> None:
    model = AIMv2(recipe("tiny")).eval()
    own, others = own_and_others(model, IMAGES, TOKENS, others=3)
    for shift, found in enumerate([own, *others]):
        for row in range(4):
            other = (row + shift) % 4
            alone = log_probabilities(model, model.encoder(IMAGES[other : other + 1]), TOKENS[row : row + 1])
            torch.testing.assert_close(found[row], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("others", [0, 4])
def test_an_image_never_stands_among_its_own_others(others: int) -> None:
    with pytest.raises(ValueError, match=r"must lie in 1 … 3"):
        own_and_others(AIMv2(recipe("tiny")), IMAGES, TOKENS, others)


def test_every_word_has_one_kind() -> None:
    kinds = {word: word_kind(word) for word in all_words()}
    assert kinds["red"] == "colour" and kinds["bar"] == "shape" and kinds["little"] == "size"
    assert kinds["under"] == kinds["to"] == "direction" and kinds["thing"] == "object, thing"
    assert kinds["the"] == kinds["picture"] == kinds["."] == OTHER_WORDS
    assert sum(len(words) for words in WORD_KINDS.values()) == len(frozenset().union(*WORD_KINDS.values()))


def test_words_are_sorted_by_kind_and_padding_is_left_out() -> None:
    words = [["a", "red", "bar"], ["a", "thing"]]
    found = by_word_kind(words, torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 99.0]]))
    assert {kind: nats.tolist() for kind, nats in found.items()} == {
        "colour": [2.0],
        "shape": [3.0],
        "object, thing": [5.0],
        OTHER_WORDS: [1.0, 4.0],
    }


def test_the_first_word_of_a_kind() -> None:
    rows, places = first_of_kind([["a", "red", "pink"], ["a", "thing"], ["blue"]], "colour")
    assert (rows.tolist(), places.tolist()) == ([0, 2], [1, 0])
