"""Patches are sorted by what their prediction is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aimv2_lab.data.world import Scene, make_scene, masks, world_settings
from aimv2_lab.data.world.settings import COLOURS
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.patch_kinds import (
    BEGINS,
    GOES_ON,
    GROUND,
    KINDS,
    colours_at,
    error_by_kind,
    noise_floor,
    patch_kinds,
    prediction_errors,
)
from aimv2_lab.lessons.held_out import drawn_at
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import pixel_errors
from aimv2_lab.recipes import recipe

TINY = recipe("tiny")
EASY = world_settings("easy")


def with_squares(*places: tuple[float, float]) -> Scene:
    """Upright squares of 16 pixels at (x, y), in picture widths."""
    base = make_scene(EASY, 0, "validation", 0)
    plain = replace(base.objects[0], shape="square", rotation=0.0, radius=0.16)
    return replace(base, objects=tuple(replace(plain, x=x, y=y) for x, y in places))


def test_an_object_begins_once_and_goes_on_where_it_is_seen_again() -> None:
    alone = patch_kinds([with_squares((0.5, 0.5))], 48, 12)[0].reshape(4, 4)
    assert alone[1].tolist() == [GROUND, BEGINS, GOES_ON, GROUND]
    assert alone[2].tolist() == [GROUND, GOES_ON, GOES_ON, GROUND]
    assert (alone[[0, 3]] == GROUND).all()


def test_where_one_begins_and_another_goes_on_one_begins() -> None:
    kinds = patch_kinds([with_squares((0.5, 0.4), (0.5, 0.75))], 48, 12)[0].reshape(4, 4)
    assert kinds[2].tolist() == [GROUND, BEGINS, GOES_ON, GROUND]


@pytest.mark.parametrize("index", range(5))
def test_every_object_begins_somewhere(index: int) -> None:
    scene = make_scene(EASY, 0, "validation", index)
    kinds = patch_kinds([scene], 48, 12)[0]
    assert 1 <= (kinds == BEGINS).sum() <= len(scene.objects)
    empty = ~torch.from_numpy(masks(scene, 48)).any(dim=0).unfold(0, 12, 12).unfold(1, 12, 12).flatten(2).any(dim=2)
    assert torch.equal(kinds == GROUND, empty.flatten())


def test_pixels_show_their_objects_colours() -> None:
    scene = make_scene(EASY, 0, "validation", 1)
    found = colours_at([scene], 48, 2)[0]
    mask = torch.from_numpy(masks(scene, 48))[:, ::2, ::2]
    for thing, shown in zip(scene.objects, mask, strict=True):
        assert (found[shown] == 1 + list(COLOURS).index(thing.colour)).all()
    assert (found[~mask.any(dim=0)] == 0).all()


def test_errors_stand_at_the_patch_that_was_predicted() -> None:
    model = AIMv2(TINY).eval()
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    errors = prediction_errors(model, images, prefix_length=5)
    assert errors[:, :5].isnan().all() and not errors[:, 5:].isnan().any()
    with torch.no_grad():
        said = model(images, torch.empty(2, 0, dtype=torch.long), torch.tensor([5, 5])).pixels
    torch.testing.assert_close(errors[:, 5:], pixel_errors(said, images, 12)[:, 4:])


def test_the_floor_is_zero_without_noise_and_grows_with_it() -> None:
    scenes = [make_scene(EASY, 0, "validation", index) for index in range(4)]
    ground = patch_kinds(scenes, 48, 12) == GROUND

    def floor(sigma: float) -> Tensor:
        noisy = [replace(scene, noise_sigma=sigma) for scene in scenes]
        return noise_floor(noisy, drawn_at(noisy, 48, TINY.data), TINY.data, 12)

    assert floor(0.0).max() < 1e-6
    assert 0 < floor(1.0)[ground].mean() < floor(4.0)[ground].mean() < 1.1
    assert floor(2.0)[ground].mean() > 5 * floor(2.0)[~ground].mean()


def test_means_are_taken_over_what_was_predicted() -> None:
    errors = torch.tensor([[torch.nan, 1.0, 3.0, 5.0]])
    kinds = torch.tensor([[BEGINS, GROUND, GROUND, GOES_ON]])
    ground, goes_on, begins = error_by_kind(errors, kinds)
    assert (ground, goes_on) == (2.0, 5.0) and begins != begins


def test_a_patch_is_ground_beginning_or_continuation_of_an_object() -> None:
    source, size = open_world("world:easy", "validation", size=48), 12
    kinds = patch_kinds([source.scene(scene) for scene in range(6)], 48, size)[:, 1:]
    assert kinds.shape == (6, 15)
    for scene, row in enumerate(kinds.tolist()):
        begun: set[int] = set()
        for patch in range(16):
            rows, columns = (slice(size * place, size * (place + 1)) for place in divmod(patch, 4))
            pixels = torch.tensor(masks(source.scene(scene), 48, visible=True)[:, rows, columns])
            held = pixels.flatten(1).any(dim=1).tolist()
            here = {number for number, holds in enumerate(held) if holds}
            expected = "an object begins" if here - begun else "an object goes on" if here else "ground"
            begun |= here
            assert patch == 0 or KINDS[row[patch - 1]] == expected
