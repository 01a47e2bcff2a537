"""Cutting pictures into patches, putting them back together, and the standardised pixel target."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.model.patches import TARGET_EPS, patchify, standardise, unpatchify, unstandardise
from tests.model.tiny import generator


@pytest.mark.parametrize(("rows", "columns", "patch_size"), [(3, 3, 2), (2, 5, 3), (4, 1, 14), (1, 1, 1)])
def test_unpatchify_inverts_patchify(rows: int, columns: int, patch_size: int) -> None:
    pictures = torch.randn(2, 3, rows * patch_size, columns * patch_size, generator=generator())
    patches = patchify(pictures, patch_size)
    assert patches.shape == (2, rows * columns, patch_size**2 * 3)
    assert torch.equal(unpatchify(patches, (rows, columns), patch_size), pictures)


def test_patches_run_in_raster_order_and_inside_by_row_column_channel() -> None:
    # Every pixel says where it is: channel 100s, row 10s, column 1s. 4 rows x 6 columns make 2 x 3 patches of 2 x 2.
    channel, row, column = torch.meshgrid(torch.arange(3), torch.arange(4), torch.arange(6), indexing="ij")
    patches = patchify((100 * channel + 10 * row + column)[None], 2)
    assert patches[0].tolist() == [
        [0, 100, 200, 1, 101, 201, 10, 110, 210, 11, 111, 211],
        [2, 102, 202, 3, 103, 203, 12, 112, 212, 13, 113, 213],
        [4, 104, 204, 5, 105, 205, 14, 114, 214, 15, 115, 215],
        [20, 120, 220, 21, 121, 221, 30, 130, 230, 31, 131, 231],
        [22, 122, 222, 23, 123, 223, 32, 132, 232, 33, 133, 233],
        [24, 124, 224, 25, 125, 225, 34, 134, 234, 35, 135, 235],
    ]


@pytest.mark.parametrize(
    ("height", "width", "named"),
    [
        (30, 28, "image height 30 is not a multiple of the patch size 14; .* 28 or 42"),
        (28, 13, "image width 13 .* 14"),
        (0, 28, "image height 0 .* 14"),
    ],
)
def test_a_side_that_is_no_multiple_is_named_with_the_sizes_that_fit(height: int, width: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        patchify(torch.zeros(1, 3, height, width), 14)


def test_a_grid_that_does_not_hold_the_patches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2 x 4 holds 8 patches.*\b6\b"):
        unpatchify(torch.zeros(1, 6, 12), (2, 4), 2)


def test_standardised_patches_have_mean_0_and_unbiased_variance_1() -> None:
    offsets = torch.tensor([0.0, 5.0, -3.0], dtype=torch.float64)[:, None]
    patches = 2.5 * torch.randn(4, 3, 12, generator=generator(), dtype=torch.float64) + offsets
    values, mean, deviation = standardise(patches)
    assert values.mean(dim=-1) == pytest.approx(0, abs=1e-12)
    assert values.square().sum(dim=-1) / 11 == pytest.approx(1, abs=1e-5)
    assert mean[..., 0] == pytest.approx(patches.sum(dim=-1) / 12)
    assert deviation.shape == mean.shape == (4, 3, 1)


def test_eps_is_1e_6_inside_the_root() -> None:
    patch = torch.tensor([[[-1e-3, 0.0, 1e-3]]], dtype=torch.float64)  # unbiased variance 1e-6, as large as eps
    assert TARGET_EPS == 1e-6
    assert standardise(patch).values[0, 0].tolist() == pytest.approx([-(0.5**0.5), 0, 0.5**0.5])


def test_flat_patches_become_zeros() -> None:
    values, mean, deviation = standardise(torch.full((1, 2, 588), 0.1))
    assert values.abs().max() < 1e-3  # the mean of many 0.1 is rounded, and eps makes little of that large
    assert mean == pytest.approx(0.1)
    assert deviation == pytest.approx(1e-3, rel=1e-2)


def test_unstandardise_inverts_standardise() -> None:
    patches = 3 + 2 * torch.randn(2, 4, 12, generator=generator(), dtype=torch.float64)
    assert torch.allclose(unstandardise(*standardise(patches)), patches, rtol=0, atol=1e-12)


def test_unpatchify_refuses_patches_of_another_size() -> None:
    with pytest.raises(ValueError, match="patches of 7 x 7 hold 147 values, not 588"):
        unpatchify(torch.zeros(1, 4, 588), (2, 2), 7)
