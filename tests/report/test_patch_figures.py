"""The figures of patches and targets: what they say is what the numbers are."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import Tensor

from aimv2_lab.recipes import recipe
from aimv2_lab.report.patch_figures import (
    draw_loss_shares,
    draw_pictures,
    draw_pixel_target,
    draw_shift,
    draw_specimens,
    for_viewing,
    share_that_holds,
)

DATA = recipe("tiny").data


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def picture() -> Tensor:
    """A normalised picture of 4 x 6 pixels, in 2 x 3 patches of 2 x 2."""
    return torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("errors", "part", "share"),
    [
        ([1.0, 1, 1, 1], 0.5, 0.5),
        ([0.0, 0, 8, 2], 0.5, 0.25),
        ([0.0, 0, 8, 2], 0.9, 0.5),
        ([3.0, 1, 1, 1], 0.6, 0.5),
    ],
)
def test_the_loudest_patches_that_hold_a_part_of_the_loss(errors: list[float], part: float, share: float) -> None:
    assert share_that_holds(torch.tensor(errors), part) == share
    assert share_that_holds(torch.tensor(errors).reshape(2, 2), part) == share  # whatever the shape


def test_loss_shares_start_at_the_loudest_patch_and_end_at_all() -> None:
    figure = draw_loss_shares({"loud": torch.tensor([8.0, 0, 1, 1])}, standardised=torch.ones(4))
    (axes,) = figure.axes
    loud, _, even, _ = axes.get_lines()
    assert np.asarray(loud.get_ydata()) == pytest.approx([0.8, 0.9, 1, 1])
    assert np.asarray(even.get_ydata()) == pytest.approx([0.25, 0.5, 0.75, 1])
    assert "in 25% of the patches; standardised, in 50%" in axes.get_title(loc="left")


def test_every_shown_output_stands_above_the_next_patch_and_the_last_above_nothing() -> None:
    figure = draw_shift(picture(), 2, DATA, slots=[0, 1, 4, 5])
    named = [title for axes in figure.axes if (title := axes.get_title(loc="center"))]
    assert named == ["patch 0", "patch 1", "patch 4", "patch 5", "patch 1", "patch 2", "patch 5", "nothing"]
    first_target = figure.axes[len(figure.axes) // 2].get_images()[0].get_array()
    patch = picture()[:, :2, 2:4]  # patch 1
    expected = for_viewing((patch - patch.mean()) / patch.std())
    assert np.asarray(first_target) == pytest.approx(expected.permute(1, 2, 0).numpy(), abs=1e-4)


def test_the_pixel_target_names_its_numbers_and_refuses_a_patch_size_that_does_not_fit() -> None:
    figure = draw_pixel_target(picture(), DATA, patch_size=2)
    names = [axes.get_title(loc="center") for axes in figure.axes[:3]]
    assert names[:2] == ["2 × 3 = 6 patches", "target: 12 values each"]
    assert "costs 0.9167" in figure.get_suptitle()  # 11 / 12
    deviations = figure.axes[2].get_images()[0].get_array()
    assert np.asarray(deviations)[1, 0] == pytest.approx(picture()[:, 2:, :2].std().item(), rel=1e-4)
    with pytest.raises(ValueError, match="height 4 is not a multiple of the patch size 3"):
        draw_pixel_target(picture(), DATA, patch_size=3)


def test_specimens_are_drawn_with_their_deviation_and_their_target() -> None:
    flat, strong = torch.zeros(3, 2, 2), picture()[:, :2, :2]
    figure = draw_specimens({"flat": flat, "strong": strong}, DATA)
    assert [axes.get_title(loc="center") for axes in figure.axes[:3]] == ["flat", "strong", "deviation 0.001"]
    target = np.asarray(figure.axes[2].get_images()[0].get_array())
    assert target == pytest.approx(np.full((2, 2, 3), 0.5))
    assert figure.axes[3].get_title(loc="center") == f"deviation {strong.std():.3f}"


def test_viewing_maps_zero_to_grey_and_clips_beyond_two_and_a_half_deviations() -> None:
    assert for_viewing(torch.tensor([-9.0, -2.5, 0, 1.25, 9])).tolist() == [0, 0, 0.5, 0.75, 1]


def test_pictures_stand_in_a_row_under_their_names() -> None:
    figure = draw_pictures({"one": torch.zeros(3, 2, 2), "two": torch.ones(3, 2, 2)}, "a title")
    assert [axes.get_title(loc="center") for axes in figure.axes] == ["one", "two"]
    assert figure.get_suptitle() == "a title"
