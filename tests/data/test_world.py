"""The generated world: random access, geometry, balance, held-out pairs, and that every knob does something."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aimv2_lab.data.world import SPLITS, WORLDS, Scene, boxes, make_scene, masks, render
from aimv2_lab.data.world.layout import RELATION_MARGIN
from aimv2_lab.data.world.scene import generator
from aimv2_lab.data.world.shapes import FIELDS, OUTLINES, REACH

PRESETS = sorted(WORLDS)


def scenes(preset: str, count: int, split: str = "train") -> list[Scene]:
    return [make_scene(WORLDS[preset], 0, split, index) for index in range(count)]


@pytest.mark.parametrize("preset", PRESETS)
def test_any_order_gives_the_same_scenes_and_pixels(preset: str) -> None:
    forward = [(scene, render(scene, 32)) for scene in scenes(preset, 12)]
    for index in (7, 0, 11, 3, 7):
        scene = make_scene(WORLDS[preset], 0, "train", index)
        assert scene == forward[index][0]
        assert np.array_equal(render(scene, 32), forward[index][1])


def test_seed_split_index_and_stream_all_matter() -> None:
    settings = WORLDS["rich"]
    made = [
        make_scene(settings, *key) for key in ((0, "train", 0), (1, "train", 0), (0, "validation", 0), (0, "train", 1))
    ]
    assert len({scene.objects for scene in made}) == len(made)
    draws = [
        generator(0, split, index, stream).random() for split in SPLITS for index in (0, 1) for stream in (0, 1, 2)
    ]
    assert len(set(draws)) == len(draws)


def test_bad_split_index_and_size_are_refused() -> None:
    with pytest.raises(ValueError, match="'test' does not exist; choose one of train, validation, heldout"):
        make_scene(WORLDS["easy"], 0, "test", 0)
    with pytest.raises(ValueError, match="-1"):
        make_scene(WORLDS["easy"], 0, "train", -1)
    with pytest.raises(ValueError, match="picture size 0"):
        render(scenes("easy", 1)[0], 0)


@pytest.mark.parametrize("shape", sorted(FIELDS))
def test_outline_lies_on_the_field_and_bounds_it(shape: str) -> None:
    outline = OUTLINES[shape]
    assert np.abs(FIELDS[shape](outline[:, 0], outline[:, 1])).max() < 1e-6
    grid = np.linspace(-1.6, 1.6, 1601)
    y, x = np.nonzero(FIELDS[shape](grid[None], grid[:, None]) <= 0)
    inside = np.stack([grid[x], grid[y]], axis=-1)
    assert np.abs(inside.min(axis=0) - outline.min(axis=0)).max() < 0.005
    assert np.abs(inside.max(axis=0) - outline.max(axis=0)).max() < 0.005
    assert np.hypot(*inside.T).max() <= REACH[shape] + 1e-9
    assert 2.4 < len(inside) * (grid[1] - grid[0]) ** 2 < 2.65  # all areas alike, so that size words are fair


@pytest.mark.parametrize("preset", PRESETS)
def test_boxes_are_those_of_the_drawn_masks(preset: str) -> None:
    size = 512
    for scene in scenes(preset, 15):
        for box, mask in zip(boxes(scene), masks(scene, size), strict=True):
            rows, columns = np.nonzero(mask)
            drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert np.abs(box * size - drawn).max() < 2.5  # a thin tip may lie between pixel centres
            assert box.min() > 0 and (box[2:] < (scene.width, scene.height)).all()


def test_drawn_pixels_are_where_the_mask_says_and_of_the_objects_colour() -> None:
    settings = replace(WORLDS["easy"], noise_sigma=0.0)
    for index in range(15):
        scene = make_scene(settings, 0, "train", index)
        empty, full = render(replace(scene, objects=()), 96), render(scene, 96)
        covered = masks(scene, 96).any(axis=0)
        changed = (empty != full).any(axis=-1)
        assert changed[covered].all()
        assert (changed & ~covered).sum() < 0.35 * covered.sum()  # only the anti-aliased rim
        for thing, mask in zip(scene.objects, masks(scene, 96), strict=True):
            core = np.median(full[mask], axis=0)
            assert np.abs(core - np.array(thing.rgb) * 255).max() <= 1


@pytest.mark.parametrize("size", [64, 96, 160])
def test_every_object_is_visible_for_the_most_part(size: int) -> None:
    covered = 0
    for scene in scenes("rich", 150):
        whole, seen = (masks(scene, size, visible=v).sum(axis=(1, 2)) for v in (False, True))
        assert (seen >= 0.6 * whole).all()
        covered += int((seen < whole).sum())
    assert covered > 30  # objects do overlap
    for preset in ("easy", "separating"):
        for scene in scenes(preset, 40):
            assert masks(scene, size).sum(axis=0).max() == 1


def test_named_marks_are_never_covered() -> None:
    marked = 0
    for scene in scenes("rich", 150):
        for i, thing in enumerate(scene.objects):
            later = masks(scene, 64)[i + 1 :]
            row, column = int(thing.y * 64), int(thing.x * 64)
            if thing.mark != "none" and len(later):
                marked += 1
                assert not later[:, row - 1 : row + 2, column - 1 : column + 2].any()
    assert marked > 50


@pytest.mark.parametrize("preset", PRESETS)
def test_held_out_pairs_are_in_their_split_only(preset: str) -> None:
    held = set(WORLDS[preset].held_out)
    for split in ("train", "validation"):
        pairs = {(o.shape, o.colour) for scene in scenes(preset, 400, split) for o in scene.objects}
        assert not pairs & held
        assert len(pairs) == len(WORLDS[preset].shapes) * len(WORLDS[preset].colours) - len(held)
    assert {(o.shape, o.colour) for scene in scenes(preset, 200, "heldout") for o in scene.objects} == held


@pytest.mark.parametrize("preset", PRESETS)
def test_factors_are_about_uniform(preset: str) -> None:
    settings, made = WORLDS[preset], scenes(preset, 2000)
    things = [o for scene in made for o in scene.objects]
    big = [o for o in things if o.size != settings.sizes[0]]
    for name, values, among in (
        ("shape", settings.shapes, things),
        ("colour", settings.colours, things),
        ("size", settings.sizes, things),
        ("fill", settings.fills, big),
        ("mark", settings.marks, [o for o in big if o.mark != "none"]),
    ):
        counts = Counter(getattr(thing, name) for thing in among)
        for value in values:
            assert counts[value] == pytest.approx(len(among) / len(values), rel=0.2), (name, value)
    numbers = Counter(len(scene.objects) for scene in made)
    fewest, most = settings.n_objects
    assert all(numbers[n] == pytest.approx(2000 / (most - fewest + 1), rel=0.2) for n in range(fewest, most + 1))


def test_easy_has_one_large_one_small_object_and_one_clear_relation() -> None:
    directions: Counter[str] = Counter()
    for scene in scenes("easy", 1000):
        small, large = sorted(scene.objects, key=lambda thing: thing.radius)
        assert (small.size, large.size) == ("small", "large")
        assert small.colour != large.colour and small.shape != large.shape
        right, below = large.x - small.x, large.y - small.y
        assert min(abs(right), abs(below)) < RELATION_MARGIN < 2 * RELATION_MARGIN < max(abs(right), abs(below))
        directions["x" if abs(right) > abs(below) else "y", right + below > 0] += 1  # type: ignore[index]
    assert min(directions.values()) > 200


def test_a_scene_does_not_depend_on_the_picture_size() -> None:
    for scene in scenes("rich", 10):
        quiet = replace(scene, noise_sigma=0.0)
        large = Image.fromarray(render(quiet, 192)).resize((48, 48), Image.Resampling.BOX)
        difference = np.abs(np.asarray(large, dtype=float) - render(quiet, 48))
        assert difference.mean() < 3


def test_noise_has_the_set_strength() -> None:
    scene = replace(scenes("separating", 1)[0], noise_sigma=0.0)
    clean = render(scene, 64).astype(float)
    noisy = render(replace(scene, noise_sigma=8.0), 64).astype(float)
    inside = (clean > 40) & (clean < 215)
    assert (noisy - clean)[inside].std() == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_object_drowns_in_the_ground(preset: str) -> None:
    for scene in scenes(preset, 300):
        for thing in scene.objects:
            assert np.linalg.norm(np.subtract(thing.rgb, scene.ground.rgb)) > 0.4


def test_mark_contrast_scales_the_mark() -> None:
    scene = next(s for s in scenes("separating", 50) if any(o.mark != "none" for o in s.objects))
    plain = replace(scene, objects=tuple(replace(o, mark="none") for o in scene.objects))
    base = render(plain, 64).astype(float)
    changes = [np.abs(render(replace(scene, mark_contrast=c), 64) - base).sum() for c in (0.0, 0.2, 0.8)]
    assert changes[0] == 0 < changes[1] < changes[2]


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 radii for 3 sizes"):
        replace(WORLDS["rich"], radii=(0.1, 0.2))
    with pytest.raises(ValueError, match=re.escape("n_objects = (0, 2)")):
        replace(WORLDS["rich"], n_objects=(0, 2))
    crowded = replace(WORLDS["rich"], radii=(0.3, 0.3, 0.3), n_objects=(6, 6), min_visible=1.0)
    with pytest.raises(ValueError, match="no room for 6 objects"):
        make_scene(crowded, 0, "train", 0)


def test_pictures_have_every_ratio_and_one_area() -> None:
    found = scenes("oblong", 200)
    ratios = np.log([scene.width / scene.height for scene in found])
    assert np.abs(ratios).max() <= np.log(3) and np.abs(np.quantile(ratios, (0.25, 0.75))).min() > 0.4
    for scene in found[:20]:
        assert scene.width * scene.height == pytest.approx(1)
        picture = render(scene, 48)
        assert picture.shape == (round(48 * scene.height), round(48 * scene.width), 3)
        assert masks(scene, 48).shape[1:] == picture.shape[:2]
        # Objects lie along the whole of the longer side, and their pixels have their colours.
        quiet = render(replace(scene, noise_sigma=0.0, mark_contrast=0.0), 48)
        for thing, mask in zip(scene.objects, masks(scene, 48, visible=True), strict=True):
            inside = quiet[mask].reshape(-1, 3).astype(float)
            assert np.abs(np.median(inside, axis=0) / 255 - thing.rgb).max() < 0.02
    wide = [scene for scene in found if scene.width > 1.5]
    assert max(thing.x for scene in wide for thing in scene.objects) > 1.2


def test_a_knob_that_came_later_leaves_older_worlds_as_they_were() -> None:
    assert WORLDS["easy"].fingerprint == "977d9e8b1394db41"
    assert replace(WORLDS["rich"], ratios=(0.5, 2.0)).fingerprint != WORLDS["rich"].fingerprint
    assert {(scene.width, scene.height) for scene in scenes("rich", 20)} == {(1.0, 1.0)}


def test_worlds_without_room_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ratios = \(2.0, 1.0\)"):
        replace(WORLDS["oblong"], ratios=(2.0, 1.0))
    with pytest.raises(ValueError, match="'aligned', which is for squares"):
        replace(WORLDS["contrast"], ratios=(0.5, 2.0))
    crowded = replace(WORLDS["contrast"], radii=(0.2, 0.3))
    with pytest.raises(ValueError, match=r"no room for a .* in line with a .*: lower the radii"):
        for index in range(50):
            make_scene(crowded, 0, "train", index)
