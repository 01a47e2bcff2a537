"""Every word has one kind; losses by kind and by place add up to the whole; gradients stop where nothing leads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from aimv2_lab.data.captions import words
from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.data.world.source import open_world
from aimv2_lab.lessons.decoder_variants import caption_first, with_decoder
from aimv2_lab.lessons.decoder_words import (
    KINDS,
    REST,
    HeldOut,
    caption_gradients,
    held_out,
    kind_of,
    loss_by_kind,
    loss_by_place,
    next_words,
    words_of,
)
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe

TOKENIZER = load_tokenizer("world")


def untrained() -> AIMv2:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AIMv2(recipe("tiny")).eval()


@pytest.fixture(scope="module")
def scenes() -> HeldOut:
    return held_out(untrained(), TOKENIZER, range(6), view=1)


def test_kinds_are_words_of_the_world_and_do_not_overlap() -> None:
    named = [word for kind in KINDS.values() for word in kind]
    assert len(named) == len(set(named)) and set(named) <= set(words())
    assert [kind_of(word) for word in ("red", "cross", "under", "little", "thing", "there", "end")] == [
        *KINDS,
        REST,
        REST,
    ]


def test_words_end_with_the_end_token(scenes: HeldOut) -> None:
    for row, counted in zip(scenes.tokens, scenes.counted, strict=True):
        said = words_of(row, TOKENIZER)
        assert said[-1] == "end" and len(said) == int(counted.sum())
        assert " ".join(said[:-1]).replace(" .", ".") == TOKENIZER.decode(row)


def test_pictures_are_the_images_in_their_own_colours(scenes: HeldOut) -> None:
    image = open_world("world:easy", "validation")[3].image
    assert isinstance(image, Image.Image)
    drawn = torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255
    assert torch.allclose(scenes.pictures[3], drawn, atol=1e-5)


def test_losses_by_kind_weigh_up_to_the_mean(scenes: HeldOut) -> None:
    errors = torch.rand(scenes.tokens.shape, generator=torch.Generator().manual_seed(0))
    found = loss_by_kind({"once": errors, "twice": 2 * errors}, scenes, TOKENIZER)
    counts = dict.fromkeys(found, 0)
    for row in scenes.tokens:
        for word in words_of(row, TOKENIZER):
            counts[kind_of(word)] += 1
    present = [kind for kind in found if counts[kind]]
    total = sum(found[kind][0] * counts[kind] for kind in present) / sum(counts.values())
    assert total == pytest.approx(errors[scenes.counted].mean().item(), rel=1e-5)
    assert all(found[kind][1] == pytest.approx(2 * found[kind][0]) for kind in present)


def test_places_stop_where_captions_get_few() -> None:
    counted = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]]).bool()
    errors = torch.tensor([[1.0, 4.0, 9.0], [2.0, 6.0, 99.0], [3.0, 99.0, 99.0]])
    assert loss_by_place(errors, counted, least=2).tolist() == [2.0, 5.0]
    assert loss_by_place(errors, counted, least=1).tolist() == [2.0, 5.0, 9.0]


def test_gradients_reach_all_patches_with_the_picture_first_and_none_behind_the_caption(scenes: HeldOut) -> None:
    model = untrained()
    gradients = caption_gradients(model, scenes.images[0], scenes.tokens[0, :4])
    assert gradients.shape == (4, 16) and (gradients > 0).all()
    behind = caption_gradients(with_decoder(model, caption_first), scenes.images[0], scenes.tokens[0, :4])
    assert not behind.any()


def test_next_words_are_probabilities_beside_both_pictures(scenes: HeldOut) -> None:
    model = untrained()
    found = next_words(model, scenes, TOKENIZER)
    assert len(found) == 6 and found[5].other_picture.equal(found[0].picture)
    exchanged = model(scenes.images[1:2], scenes.tokens[:1]).logits.softmax(dim=-1)
    assert torch.allclose(found[0].other, exchanged[0], atol=1e-5)
    assert torch.allclose(found[0].own.sum(dim=-1), torch.ones(len(found[0].own)), atol=1e-5)
    for place, word in enumerate(found[2].words):
        assert found[2].vocabulary.index(word) == int(scenes.tokens[2, place])
