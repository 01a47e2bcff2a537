"""The figures of the encoder show the numbers they are given, and refuse what they cannot draw."""

from __future__ import annotations

import math
import re
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from aimv2_lab.model.positions import sincos_positions
from aimv2_lab.report.encoder_figures import (
    draw_largest_shares,
    draw_mistakes,
    draw_norms,
    draw_parameter_shares,
    draw_patch_components,
    draw_position_similarity,
    draw_stream_growth,
)


@pytest.fixture(autouse=True)
def close_figures() -> object:
    yield
    plt.close("all")


def texts(figure: Figure) -> str:
    """Everything written on the panels."""
    return "\n".join(text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts))


def heights(line: Any) -> list[float]:
    return np.asarray(line.get_ydata(), dtype=float).tolist()


def bars(axes: Axes) -> list[float]:
    """The width of every horizontal bar, in the order of drawing."""
    return [cast(Rectangle, bar).get_width() for container in axes.containers for bar in container]


def test_norms_draws_every_value_of_the_token() -> None:
    token, sizes = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0.1, 1.0])
    figure = draw_norms(token, {"a": 2 * token, "b": -token}, sizes, {"x": sizes, "y": sizes})
    assert torch.tensor(figure.axes[0].lines[0].get_xydata()).tolist() == [[1, 2], [2, 4], [3, 6]]


def test_largest_shares_are_drawn_as_given() -> None:
    figure = draw_largest_shares((8, 16), {"not divided": [0.3, 0.6], "divided": [0.1, 0.2]})
    assert heights(figure.axes[0].lines[0]) == [0.3, 0.6]
    assert "not divided" in texts(figure)


def test_similarity_is_one_at_the_patch_itself_and_laid_out_in_rows() -> None:
    table = sincos_positions(2, 3, 8)
    drawn = Tensor(draw_position_similarity({"code": table}, 4, columns=3).axes[0].images[0].get_array())
    assert drawn.shape == (2, 3)
    assert drawn[1, 1] == pytest.approx(1)
    assert drawn[0, 2] == pytest.approx(torch.cosine_similarity(table[4], table[2], dim=0).item())


@pytest.mark.parametrize("patch", [-1, 6])
def test_a_patch_outside_the_table_is_refused(patch: int) -> None:
    with pytest.raises(ValueError, match=f"patch {patch} lies outside 0 … 5"):
        draw_position_similarity({"code": sincos_positions(2, 3, 8)}, patch, columns=3)


def test_a_stream_that_overflows_is_marked_at_its_block() -> None:
    figure = draw_stream_growth({"a": [1, 2, 3], "b": [1, 3, 5], "no norms": [1, 1e9, math.inf]})
    assert "no norms:\noverflow in block 2" in texts(figure)
    assert heights(figure.axes[1].lines[0]) == [1, 2, 3]


def test_parameter_shares_add_up_to_the_whole() -> None:
    figure = draw_parameter_shares({"toy": {"attention": 300_000, "feed_forward": 600_000, "norm": 100_000}})
    assert sum(bars(figure.axes[0])) == pytest.approx(100)
    assert "SwiGLU 60.0 %" in texts(figure)
    assert "all else 10.00 %\nof 1 M" in texts(figure)


def test_mistakes_are_bars_of_the_given_lengths_with_the_tolerance_marked() -> None:
    kinds = {"narrow": {"none": 1e-7, "swap": 0.0}, "wide": {"none": 1e-6, "swap": 2.0}}
    axes = draw_mistakes(kinds, tolerance=1e-5).axes[0]
    assert bars(axes) == [1e-7, 1e-8, 1e-6, 2.0]  # zero is drawn at the axis' left end
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [1e-5, 1e-5]


def test_components_are_colours_that_use_the_whole_range() -> None:
    dense = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    left, right = draw_patch_components(torch.rand(3, 30, 40), dense).axes
    shown = Tensor(right.images[0].get_array())
    assert shown.shape == (3, 4, 3) and np.asarray(left.images[0].get_array()).shape == (30, 40, 3)
    assert shown.amin(dim=(0, 1)).tolist() == [0, 0, 0] and shown.amax(dim=(0, 1)).tolist() == [1, 1, 1]
    assert torch.corrcoef(shown.flatten(0, 1).T).fill_diagonal_(0).abs().max() < 1e-4  # components are uncorrelated
    assert re.fullmatch(r"three components, \d\d% of the variance", right.get_title(loc="left"))
