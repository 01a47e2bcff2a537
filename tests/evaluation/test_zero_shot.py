"""Zero-shot classes and retrieval, on vectors whose neighbours are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.evaluation.zero_shot import embed_classes, embed_images, embed_texts, recall_at_1, zero_shot_accuracy
from aimv2_lab.model.two_towers import TwoTowers
from tests.training.contrastive_toy import paired

TOKENIZER = load_tokenizer("world")


@pytest.fixture(scope="module")
def towers() -> TwoTowers:
    torch.manual_seed(0)
    return TwoTowers(paired()).eval()


def directions(*angles: float) -> Tensor:
    turns = torch.deg2rad(torch.tensor(angles))
    return torch.stack([turns.cos(), turns.sin()], dim=1)


def test_a_class_is_the_mean_of_its_templates(towers: TwoTowers) -> None:
    classes, templates = ["circle", "red cross"], ["a {}.", "we see a large {}."]
    found = embed_classes(towers, TOKENIZER, classes, templates)
    one = embed_texts(towers, TOKENIZER, ["a red cross.", "we see a large red cross."])
    torch.testing.assert_close(found[1], functional.normalize(one.mean(dim=0), dim=-1))
    with pytest.raises(ValueError, match="template 'a thing' has no"):
        embed_classes(towers, TOKENIZER, classes, ["a {}", "a thing"])


def test_what_is_embedded_does_not_depend_on_its_neighbours(towers: TwoTowers) -> None:
    texts = ["a circle.", "we see a large red cross and a small thing.", "a dot."]
    together = embed_texts(towers, TOKENIZER, texts)
    for row, text in enumerate(texts):
        torch.testing.assert_close(embed_texts(towers, TOKENIZER, [text])[0], together[row], rtol=0, atol=1e-6)
    images = torch.randn(5, 3, 24, 24)
    torch.testing.assert_close(embed_images(towers, images, batch_size=2), embed_images(towers, images))


def test_accuracy_counts_nearest_classes() -> None:
    images, classes = directions(3, 80, 100, 200), directions(0, 90, 180)
    assert zero_shot_accuracy(images, classes, torch.tensor([0, 1, 1, 2])) == 1.0
    assert zero_shot_accuracy(images, classes, torch.tensor([0, 1, 2, 0])) == 0.5


def test_recall_counts_rows_and_texts_that_stand_twice() -> None:
    images, texts = directions(0, 90, 180, 270), directions(10, 95, 300, 260)
    assert recall_at_1(images, texts) == 0.75  # the third finds the fourth
    images, texts = (
        directions(0, 98, 96, 270),
        directions(10, 95, 100, 260),
    )  # two find each other's
    assert recall_at_1(images, texts) == 0.5
    assert recall_at_1(images, texts, ["a", "b", "b", "c"]) == 1.0
