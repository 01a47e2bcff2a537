"""The areas of a run's steps: the stated distribution, and pure functions of seed and step."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from aimv2_lab.data.native.areas import BLOCK, Areas
from aimv2_lab.recipes import Recipe
from tests.native_toy import NATIVE


def wide(**changes: object) -> Recipe:
    """The paper's areas over a toy: C = 4096 x 9 patches."""
    paper = {"resolution.area_exponents": (7.0, 12.0), "training.batch_size": 4096, "training.micro_batch_size": 512}
    return NATIVE.change({**paper, **changes})


def test_the_exponents_are_a_cut_normal_mapped_to_seven_to_twelve() -> None:
    areas = Areas(wide())
    found = np.array([areas.area(step) for step in range(4 * BLOCK)])
    assert 128 <= found.min() < 132 and 3970 < found.max() <= 4096
    normal = np.sort((np.log2(found) - 7) / 5 * 2 - 1)
    below, limit = (np.arange(len(normal)) + 0.5) / len(normal), 1.63 / len(normal) ** 0.5  # Kolmogorov's, at 1 %
    standard = NormalDist()
    inside = standard.cdf(1) - standard.cdf(-1)
    cut = np.array([(standard.cdf(value) - standard.cdf(-1)) / inside for value in normal])
    assert np.abs(cut - below).max() < limit
    assert np.abs((normal + 1) / 2 - below).max() > limit  # a uniform one is told from it


def test_a_step_has_as_many_pictures_as_fit_into_the_tokens() -> None:
    recipe = wide()
    areas = Areas(recipe)
    for step in range(300):
        area, images = areas.area(step), areas.images(step)
        assert images * area <= 4096 * 9 < (images + 1) * area


def test_positions_follow_from_the_step_and_the_step_from_the_position() -> None:
    areas, first = Areas(wide()), 0
    for step in range(2 * BLOCK + 3):
        if step < 5 or step % 511 < 3 or step > 2 * BLOCK - 3:
            assert areas.first(step) == first
            assert areas.step_at(first) == areas.step_at(first + areas.images(step) - 1) == step
        first += areas.images(step)


def test_they_are_the_same_whatever_was_asked_before_and_differ_by_seed() -> None:
    late = Areas(wide())
    asked = late.first(3 * BLOCK + 7), late.area(5), late.step_at(10**6)
    early = Areas(wide())
    assert [early.area(5), early.step_at(10**6), early.first(3 * BLOCK + 7)] == [asked[1], asked[2], asked[0]]
    other = Areas(wide(**{"training.seed": 1}))
    assert [other.area(step) for step in range(9)] != [early.area(step) for step in range(9)]
    assert [early.area(step) for step in range(4)] == [3359, 258, 1432, 1511]  # of every machine


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder.positions": "learned"}, "a table has the positions of one size. Choose encoder.positions sincos"),
        ({"training.micro_batch_size": 2}, "18 patches, fewer than the 32 of one picture .* at least 4"),
        ({"resolution.area_exponents": (1.0, 5.0)}, r"area_exponents\[0\] = 1.0; it must be at least 2"),
        ({"resolution.area_exponents": (5.0, 4.0)}, r"area_exponents\[1\] = 4.0; it must be in 5.0"),
        ({"resolution.batching": "packed", "resolution.padding": "seen"}, "no padding to see"),
        ({"objective.target": "none", "objective.pixel_weight": 0.0, "objective.parallel_share": 0.5}, "share = 0.5"),
        ({"objective.patch_order": "spiral"}, "patch_order = 'spiral' .* Leave it 'raster'"),
    ],
)
def test_what_cannot_be_native_is_refused_with_the_remedy(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NATIVE.change(changes)


def test_a_recipe_from_before_is_read_and_has_one_size() -> None:
    written = NATIVE.to_json()
    assert Recipe.from_json(written) == NATIVE
    start = written.index(',\n  "resolution"')
    old = Recipe.from_json(written[:start] + "\n}\n")
    assert old.resolution.batching == "fixed" and not old.resolution.native
