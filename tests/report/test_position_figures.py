"""Positions drawn: what the titles say of tables and codes holds for toys of which it is known."""

from __future__ import annotations

import math
from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor

from aimv2_lab.model.positions import resized_positions, sincos_positions
from aimv2_lab.report import position_figures as figures


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def code(side: int) -> Tensor:
    return sincos_positions(side, side, 32).view(side, side, 32)


def table(side: int = 8) -> Tensor:
    """A wave that turns every four columns, one that turns every eight, and one down the rows."""
    x, y = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="xy")
    angles = [math.pi / 2 * x, math.pi / 4 * x, math.pi / 4 * y]
    made = torch.stack([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=-1).flatten(0, 1)
    return resized_positions(made, side).view(side, side, 6)


def test_a_position_is_like_itself_and_a_codes_similarity_is_that_of_patches() -> None:
    assert figures.similarity(code(8), 2, 3)[2, 3].item() == pytest.approx(1)
    assert torch.allclose(figures.similarity(code(16), 2, 3)[:8, :8], figures.similarity(code(8), 2, 3))


def test_a_code_goes_on_and_a_table_is_stretched() -> None:
    codes, tables = (code(8), code(16)), (table(), table(16))
    assert figures.gap(codes, "patches") < 1e-5 < 0.02 < figures.gap(codes, "pictures")
    assert figures.gap(tables, "pictures") < figures.gap(tables, "patches") / 2


def waves(side: int, cycles: float) -> Tensor:
    """One wave along every row that closes where it is mirrored, of so many cycles a patch."""
    return torch.cos(2 * math.pi * cycles * (torch.arange(side) + 0.5)).expand(side, side)[..., None]


def test_the_spectrum_has_each_wave_at_its_place() -> None:
    for cycles in (0.125, 0.25, 0.375):
        frequencies, power = figures.spectrum(waves(8, cycles))
        assert frequencies[power.argmax()].item() == pytest.approx(cycles) and power.max() > 0.999
    assert figures.share_above(waves(8, 0.375), 0.25) == pytest.approx(1)
    assert figures.share_above(waves(8, 0.25), 0.25) < 0.001


def test_resizing_halves_frequencies() -> None:
    frequencies, power = figures.spectrum(resized_positions(waves(8, 0.25).flatten(0, 1), 16).view(16, 16, 1))
    assert frequencies[power.argmax()].item() == pytest.approx(0.125) and power.max() > 0.9


def test_titles_hold_what_is_drawn() -> None:
    tables, codes = (table(), table(16)), (code(8), code(16))
    figure = figures.draw_similarities(tables, codes)
    near = [f"{figures.by_distance(grid)[1]:.2f}" for grid in (*tables, *codes)]
    assert all(number in figure.get_suptitle() for number in near)
    maps = [axes.images[0].get_array() for axes in figure.axes[:4]]
    assert [shown.shape for shown in maps] == [(8, 8), (16, 16), (8, 8), (16, 16)]  # type: ignore[union-attr]
    stretched = figures.draw_stretching(tables, codes)
    assert f"→ {figures.share_above(tables[1], 0.25):.0%}" in stretched.get_suptitle()


def test_the_swapped_axes_title_tells_squares_from_others() -> None:
    picture = torch.rand(3, 16, 24)
    figure = figures.draw_swapped(picture, picture, {1.0: 0.0, 1.5: 0.2, 3.0: 0.35})
    assert figure.get_suptitle() == "Square pictures: 0% changed. All others: 20% to 35%"
