"""Redrawing one factor changes that factor and nothing else; the shares add up and see what they should."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from aimv2_lab.data.captions import Fact
from aimv2_lab.data.world import Scene, make_scene, render, world_settings
from aimv2_lab.lessons.factors import DERIVED, FACTOR_CLASSES, fact_shares, named_factor, pixel_shares, redrawn

SETTINGS = world_settings("separating")
DONORS = [make_scene(SETTINGS, 0, "train", index) for index in range(100, 160)]
CHANGED = {
    "ground colour": {"rgb"},
    "ground light": {"gradient", "gradient_angle"},
    "ground texture": {"texture", "texture_waves", "texture_angle", "texture_phase"},
    "clutter": {"blots"},
    "rotation": {"rotation"},
    "place": {"x", "y"},
    "size": {"size", "radius"},
    "colour": {"colour", "rgb"},
    "shape, large objects": {"shape"},
    "shape, small objects": {"shape"},
    "marks": {"mark"},
    "sensor noise": {"index"},
}


def changed_fields(before: Scene, after: Scene) -> set[str]:
    """Names of all fields, at any depth, in which two scenes differ."""
    found = {f.name for f in fields(Scene) if getattr(before, f.name) != getattr(after, f.name)} - {"ground", "objects"}
    parts: list[tuple[Any, Any]] = [(before.ground, after.ground), *zip(before.objects, after.objects, strict=True)]
    return found | {
        f.name for one, other in parts for f in fields(one) if getattr(one, f.name) != getattr(other, f.name)
    }


def redrawn_scenes(factor: str) -> list[tuple[Scene, Scene]]:
    draw = np.random.default_rng(0)
    scenes = [make_scene(SETTINGS, 0, "train", index) for index in range(30)]
    return [(scene, redrawn(scene, factor, SETTINGS, DONORS, draw)) for scene in scenes]


@pytest.mark.parametrize("factor", FACTOR_CLASSES)
def test_only_the_factor_changes(factor: str) -> None:
    assert set().union(*(changed_fields(*pair) for pair in redrawn_scenes(factor))) == CHANGED[factor]


@pytest.mark.parametrize("size", ["large", "small"])
def test_shapes_change_on_objects_of_that_size_only(size: str) -> None:
    for before, after in redrawn_scenes(f"shape, {size} objects"):
        for one, other in zip(before.objects, after.objects, strict=True):
            assert one == other or one.size == size


def test_small_objects_never_get_marks() -> None:
    marks = {thing.mark for _, after in redrawn_scenes("marks") for thing in after.objects if thing.size == "small"}
    assert marks == {"none"}


def test_noise_is_the_only_thing_that_follows_from_the_index() -> None:
    before, after = redrawn_scenes("sensor noise")[0]
    assert not np.array_equal(render(before, 48), render(after, 48))
    one, other = (render(replace(scene, noise_sigma=0.0), 48) for scene in (before, after))
    assert np.array_equal(one, other)


def test_an_unknown_factor_is_refused() -> None:
    scene = DONORS[0]
    with pytest.raises(KeyError):
        redrawn(scene, "weather", SETTINGS, DONORS, np.random.default_rng(0))


def test_pixel_shares_add_up_and_follow_the_settings() -> None:
    quiet = replace(SETTINGS, noise_sigma=0.0, mark_contrast=0.0)
    for shares in pixel_shares(quiet, 10, 48, 8):
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["sensor noise"] == shares["marks"] == 0
        assert all(shares[factor] > 0 for factor in FACTOR_CLASSES if factor not in ("sensor noise", "marks"))


def test_standardised_patches_do_not_see_the_ground_colours_level() -> None:
    raw, target = pixel_shares(SETTINGS, 20, 48, 8)
    assert target["ground colour"] < 0.7 * raw["ground colour"]
    assert target["sensor noise"] > 3 * raw["sensor noise"]


def test_captions_name_exactly_the_named_classes() -> None:
    shares = fact_shares(SETTINGS, 60)
    assert sum(shares.values()) == pytest.approx(1)
    for factor, kind in FACTOR_CLASSES.items():
        assert (shares[factor] > 0) == (kind in ("T", "PT")), factor
    assert shares[DERIVED] > 0


@pytest.mark.parametrize(
    ("fact", "factor"),
    [
        (Fact("mark", "one dot", 0), "marks"),
        (Fact("relation", "above", 0, 1), "place"),
        (Fact("relation", "larger than", 0, 1), DERIVED),
        (Fact("count", "two"), DERIVED),
    ],
)
def test_facts_name_their_factor(fact: Fact, factor: str) -> None:
    assert named_factor(fact, DONORS[0]) == factor
