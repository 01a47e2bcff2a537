"""Grids of whole patches: within the area, as large as fits, in the picture's ratio; nothing is cut off."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aimv2_lab.grids import MOST_PATCHES, fitted_grid, whole_grid


def test_a_square_and_a_photograph() -> None:
    assert fitted_grid(640, 640, 256) == (16, 16)
    assert fitted_grid(480, 320, 600) == (20, 30)
    assert fitted_grid(320, 480, 600) == (30, 20)
    assert fitted_grid(500, 500, 724) == (26, 26)
    wide, near = fitted_grid(480, 320, 600), whole_grid(151, 97, 14)
    assert (wide.rows, wide.columns) == (20, 30) and (near.rows, near.columns) == (7, 11)


def test_any_picture_fits_any_area_with_two_patches_left_to_tell_apart() -> None:
    draws = np.random.default_rng(0)
    for _ in range(2000):
        width, height = (int(side) for side in np.exp(draws.uniform(np.log(8), np.log(8000), 2)))
        area = int(2 ** draws.uniform(2, 12))
        rows, columns = fitted_grid(width, height, area)
        assert 2 <= rows * columns <= area
        assert (rows >= columns) or width > height
        # No whole row and column more would fit.
        assert (rows + 1) * (columns + 1) > area or min(rows, columns) == 1


def test_the_ratio_is_kept_to_half_a_patch_or_so() -> None:
    for ratio in (1.0, 4 / 3, 3 / 2, 16 / 9, 3.0):
        for area in (128, 724, 4096):
            rows, columns = fitted_grid(round(1200 * ratio), 1200, area)
            assert abs(math.log(columns / rows / ratio)) < 1.0 / rows
            assert rows * columns > 0.8 * area


def test_a_very_long_picture_is_one_row() -> None:
    assert fitted_grid(10_000, 10, 128) == (1, 128)
    assert fitted_grid(10, 10_000, 128) == (128, 1)


def test_whole_patches_are_the_nearest_and_at_most_so_many() -> None:
    assert whole_grid(151, 97, 14) == (7, 11)  # 97 / 14 = 6.9, 151 / 14 = 10.8
    assert whole_grid(21, 20, 14) == (1, 2)  # half goes up
    assert whole_grid(3, 500, 14) == (36, 1)
    assert whole_grid(896, 896, 14) == (64, 64)
    rows, columns = whole_grid(6000, 4000, 14, MOST_PATCHES)
    assert rows * columns <= MOST_PATCHES and abs(columns / rows - 1.5) < 0.05
    assert whole_grid(100, 100, 10, most=9) == (3, 3)


@pytest.mark.parametrize("sizes", [(0, 5, 9), (5, -1, 9), (5, 5, 0)])
def test_nonsense_is_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        fitted_grid(*sizes)
    with pytest.raises(ValueError, match="must be at least 1"):
        whole_grid(*sizes)
