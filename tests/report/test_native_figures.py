"""The figures of native resolution draw what they are given: views, areas, strips, grids."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import Tensor

from aimv2_lab.data.native.areas import Areas
from aimv2_lab.data.native.dataset import native_batches
from aimv2_lab.data.native.pictures import strip_of
from aimv2_lab.report import native_figures as figures
from tests.native_toy import NATIVE, native_dataset


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def picture(height: int, width: int) -> Tensor:
    draws = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=draws)


def test_views_say_how_many_they_are_and_how_many_patches_they_have() -> None:
    views = {"squashed": [picture(32, 32)] * 2, "native": [picture(16, 48), picture(24, 32)]}
    figure = figures.draw_views(views, 8)
    assert figure.get_suptitle() == "Two scenes, two views of each; patches: squashed 16, native 12"
    assert len(figure.axes) == 4
    views["native"] = [picture(16, 48), picture(24, 40)]
    assert figures.draw_views(views, 8).get_suptitle().endswith("native 12 to 15")
    one = figures.draw_views({"native": [picture(16, 16)]}, 8).get_suptitle()
    assert one == "One scene, one view of it; patches: native 4"
    many = figures.draw_views({name: [picture(8, 8)] * 7 for name in "abc"}, 8).get_suptitle()
    assert many.startswith("7 scenes, three views of each; patches: a 1, b 1")


def test_the_cut_normal_is_whole_and_its_middle_is_fuller_than_its_ends() -> None:
    shares = figures.drawn_shares(np.linspace(7, 12, 11), (7.0, 12.0))
    assert shares.sum() == pytest.approx(1) and shares[5] > 1.4 * shares[0]
    assert shares == pytest.approx(shares[::-1])


def test_areas_title_holds_what_was_drawn() -> None:
    areas = Areas(NATIVE)
    drawn = [areas.area(step) for step in range(2000)]
    figure = figures.draw_areas(drawn, areas.tokens, NATIVE.resolution.area_exponents)
    pictures = [areas.tokens // area for area in drawn]
    assert f"{min(pictures)} to {max(pictures)} pictures" in figure.get_suptitle()
    assert "2,000 steps" in figure.get_suptitle() and "100.00% of C" in figure.get_suptitle()
    skewed = figures.draw_areas([4] * 2000, areas.tokens, NATIVE.resolution.area_exponents)
    within = [float(one.get_suptitle().split("within ")[1].split("%")[0]) for one in (figure, skewed)]
    assert within[0] < 10 and within[1] > 80


@pytest.mark.parametrize("grid", [(2, 3), (3, 2), (1, 4), (2, 2)])
def test_a_strip_is_unrolled_to_its_picture(grid: tuple[int, int]) -> None:
    rows, columns = grid
    whole = picture(8 * rows, 8 * columns)
    assert torch.equal(figures.unrolled(strip_of(whole, 8), columns), whole)


def test_batches_are_drawn_with_their_padding() -> None:
    dataset = native_dataset()
    batches = list(native_batches(dataset, 0, 3, 0))
    figure = figures.draw_native_batch(batches, most=4)  # type: ignore[arg-type]
    shares = [figures.padding_share(batch) for batch in batches]  # type: ignore[arg-type]
    assert figure.get_suptitle().endswith(f"padding is {min(shares):.0%} to {max(shares):.0%} of the slots")
    assert 0 < max(shares) < 0.5
    batch = batches[0]
    slots = batch.pictures.shape[3] // 8
    for axes, count, columns in zip(figure.axes[:4], batch.patch_counts.tolist(), batch.columns.tolist(), strict=False):  # type: ignore[attr-defined]
        rows = count // columns + -(-(slots - count) // columns)
        assert axes.images[0].get_array().shape[:2] == (8 * rows, 8 * columns)  # type: ignore[union-attr]


def test_an_area_is_drawn_with_its_grid_and_its_cost() -> None:
    pixels = np.zeros((100, 300, 3), np.uint8)
    costs = {16: 1.0, 64: 4.0, 256: 16.0}
    title = figures.draw_area([pixels], 8, costs, exponent=5.0, scene=0).get_suptitle()
    assert title == "A = 32: 3 x 9 = 27 patches, ratio +0%; about 2 ms"
