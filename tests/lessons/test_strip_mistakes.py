"""The wrong side is unseen on squares, and what the package tests hold would see it on any other grid."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.lessons.strip_mistakes import change_of_features, strips_by_the_wrong_side
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.sizes import strips_of
from tests.formats.encoders import NATIVE, wide_encoder

DRAWS = torch.Generator().manual_seed(0)


def image(rows: int, columns: int) -> Tensor:
    return torch.randn(3, 14 * rows, 14 * columns, generator=DRAWS)


@pytest.fixture(scope="module")
def encoder() -> VisionEncoder:
    return wide_encoder(NATIVE)


@pytest.mark.parametrize("side", [2, 3, 5])
def test_on_squares_nothing_differs(encoder: VisionEncoder, side: int) -> None:
    square = image(side, side)
    (right, lie), (wrong, wrongly) = (make([square], 14) for make in (strips_of, strips_by_the_wrong_side))
    assert torch.equal(right, wrong) and torch.equal(lie.columns, wrongly.columns)
    assert change_of_features(encoder, square, strips_by_the_wrong_side) < 1e-5


@pytest.mark.parametrize("grid", [(2, 3), (3, 2), (4, 5), (1, 6)])
def test_on_other_grids_the_features_are_not_those_of_the_picture_alone(
    encoder: VisionEncoder, grid: tuple[int, int]
) -> None:
    """What `test_a_list_of_images_gives_what_each_gives_alone` compares would differ under the mistake."""
    oblong = image(*grid)
    assert change_of_features(encoder, oblong, strips_of) < 1e-5
    assert change_of_features(encoder, oblong, strips_by_the_wrong_side) > 0.01
