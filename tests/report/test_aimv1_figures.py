"""AIM v1's figures draw the numbers that they are given, and their titles follow from them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.recipes import recipe
from aimv2_lab.report.aimv1_figures import (
    Choice,
    draw_choices,
    draw_error_by_position,
    draw_error_grid,
    draw_next_patches,
    first_and_last_errors,
    gain,
    seed_measures,
)

ERRORS = torch.arange(1, 16) / 10  # of patches 1 … 15 on a grid of 4 x 4
RUNS = [
    {"value": value, "seed": seed, "measures": {"probe": probe}}
    for value, seed, probe in (("b", 2, 0.5), ("a", 1, 0.7), ("a", 2, 0.8), ("b", 1, 0.6), ("a", 3, 0.9), ("b", 3, 0.3))
]
CHOICE = Choice("A or B?", RUNS, {"a": "first", "b": "second"})


@pytest.fixture(autouse=True)
def _close() -> object:
    yield
    plt.close("all")


def test_first_and_last_are_the_columns_of_the_lower_rows() -> None:
    """Patches 4, 8, 12 and 7, 11, 15."""
    first, last = first_and_last_errors(ERRORS, columns=4)
    assert first == pytest.approx((0.4 + 0.8 + 1.2) / 3)
    assert last == pytest.approx((0.7 + 1.1 + 1.5) / 3)


def test_errors_are_drawn_at_the_patch_that_is_predicted() -> None:
    figure = draw_error_by_position({"a": ERRORS, "b": ERRORS * 2}, columns=4)
    one, two = figure.axes[0].lines
    assert np.asarray(one.get_xdata()).tolist() == list(range(1, 16))
    assert np.asarray(two.get_ydata()).tolist() == (ERRORS * 2).tolist()
    assert figure.axes[0].get_title(loc="left") == "First of a row: error 0.80; last of the same rows: 1.10"


def test_the_grid_leaves_out_patch_0_and_names_the_hardest() -> None:
    figure = draw_error_grid(ERRORS, columns=4)
    (image,) = figure.axes[0].images
    values = np.asarray(image.get_array())
    assert values[3, 3] == pytest.approx(1.5)
    assert np.ma.getmaskarray(image.get_array())[0, 0]  # type: ignore[arg-type]
    assert figure.axes[0].get_title(loc="left") == "Hardest to predict: patch 15, row 3, column 3"


@pytest.mark.parametrize("length", [1, 4, 6, 15])
def test_the_prefix_is_shown_as_it_is_and_outlined(length: int) -> None:
    model = AIMv1(recipe("aim-tiny", {"encoder.depth": 1, "head.depth": 1}))
    pictures = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)) - 0.5
    figure = draw_next_patches(model, pictures, length)
    above, below = figure.axes[0].images[0].get_array(), figure.axes[2].images[0].get_array()
    assert above is not None and below is not None
    same = torch.tensor(above == below).all(dim=-1).view(4, 12, 4, 12).all(dim=3).all(dim=1).flatten()
    assert same.tolist() == [patch < length for patch in range(16)]
    (line,) = figure.axes[2].lines
    corners = torch.tensor(line.get_xydata())
    x, y = (corners[:, axis] for axis in (0, 1))
    area = 0.5 * (x[:-1] * y[1:] - x[1:] * y[:-1]).sum().abs()
    assert area == pytest.approx(length * 12 * 12)


def test_seeds_are_paired_and_the_gain_is_their_mean_difference() -> None:
    assert seed_measures(CHOICE, "probe") == {"first": [0.7, 0.8, 0.9], "second": [0.6, 0.5, 0.3]}
    mean, spread = gain(CHOICE, "probe")
    assert mean == pytest.approx(1 / 3)
    assert spread == pytest.approx(0.2517, abs=1e-4)


def test_every_seed_is_a_dot_and_the_title_is_the_gain() -> None:
    figure = draw_choices([CHOICE, CHOICE], "probe", "accuracy", untrained=[0.2, 0.3, 0.4])
    assert len(figure.axes) == 2
    for axes in figure.axes:
        (level,) = (np.asarray(line.get_ydata()) for line in axes.lines if line.get_linestyle() == ":")
        assert level.tolist() == pytest.approx([0.3, 0.3])
    dots = [points.get_offsets() for points in figure.axes[0].collections]
    assert [len(np.asarray(points)) for points in dots] == [3, 3]
    assert figure.axes[0].get_title(loc="left") == "A or B?\n+0.333 ± 0.252"


def test_the_title_names_the_choices_whose_gain_exceeds_its_spread() -> None:
    def title(*choices: Choice) -> str:
        return draw_choices(choices, "probe", "accuracy").get_suptitle()

    close = CHOICE._replace(
        question="C or D?", runs=[run for run in RUNS if run["seed"] != 3], names={"b": "b", "a": "a"}
    )
    level = [{**run, "measures": {"probe": 0.5 + 0.1 * (run["seed"] == 1) * (run["value"] == "a")}} for run in RUNS]
    assert title(CHOICE, CHOICE._replace(question="Level?", runs=level)) == "Larger than its spread: A or B"
    assert title(close) == "Larger than its spread: C or D"  # a loss counts as well
    assert title(CHOICE._replace(runs=level)) == "No difference is larger than its spread"
