"""Held-out scenes, and pictures unlike any of training."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.facts import score_captions
from aimv2_lab.lessons.held_out import drawn_at, held_out, odd_pictures
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe

TINY = recipe("tiny")


def test_pictures_scenes_and_captions_belong_together() -> None:
    held = held_out(TINY, 6)
    assert len(held.scenes) == len(held.captions) == 6 and held.images.shape == (6, 3, 48, 48)
    assert score_captions(held.captions, held.scenes).true_share == 1
    torch.testing.assert_close(drawn_at(held.scenes, 48, TINY.data), held.images)
    assert {scene.split for scene in held.scenes} == {"validation"}


def test_the_heldout_split_shows_pairs_that_training_never_does() -> None:
    def pairs(split: str) -> set[tuple[str, str]]:
        return {(o.shape, o.colour) for scene in held_out(TINY, 40, split).scenes for o in scene.objects}

    assert len(pairs("heldout")) == 5 and not pairs("heldout") & pairs("validation")


def test_pictures_are_the_images_in_their_own_colours() -> None:
    image = open_world("world:easy", "validation")[3].image
    assert isinstance(image, Image.Image)
    drawn = torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255
    torch.testing.assert_close(held_out(TINY, 4).pictures[3], drawn, atol=1e-5, rtol=0)


def test_a_view_chooses_another_caption_of_the_same_scenes() -> None:
    first, second = held_out(TINY, 6), held_out(TINY, 6, view=1)
    assert first.scenes == second.scenes and first.captions != second.captions


def test_odd_pictures_are_odd_in_the_way_they_say() -> None:
    odd = {one.name: one.image for one in odd_pictures(AIMv2(TINY).eval(), load_tokenizer("world"))}
    sizes = {name: tuple(image.shape) for name, image in odd.items()}
    assert sizes.pop("scene 0, twice the size") == (1, 3, 96, 96)
    assert set(sizes.values()) == {(1, 3, 48, 48)} and len(sizes) == 4
    spread = {name: image.flatten(2).std(dim=-1).max().item() for name, image in odd.items()}
    assert spread["an empty ground"] < 0.1 < spread["one object"] < spread["noise"]
