"""The figures of notebook 03 draw the numbers they are given, and their titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from aimv2_lab.lessons.model_leaks import allowed_in_model
from aimv2_lab.model.objective import counted_outputs
from aimv2_lab.report.prefix_figures import (
    counted_share,
    draw_attention_switch,
    draw_losses_over_floor,
    draw_model_leaks,
    draw_prefix_spread,
    expected_sight,
)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_the_title_names_the_runs_that_end_below_the_floor() -> None:
    runs = {"honest": [1.0] * 20, "leaking": [1.0 - 0.02 * step for step in range(20)]}
    axes = draw_losses_over_floor(runs, floor=0.9).axes[0]
    assert axes.get_title(loc="left") == "Ends below the noise floor: leaking"
    drawn = np.asarray(axes.lines[1].get_ydata())
    assert len(drawn) == 11 and drawn[-1] == pytest.approx(sum(runs["leaking"][-10:]) / 10)
    quiet = draw_losses_over_floor({"honest": runs["honest"]}, floor=0.9).axes[0]
    assert quiet.get_title(loc="left") == "No run ends below the noise floor"


@pytest.mark.parametrize("runs", [{"short": [1.0] * 9}, {str(i): [1.0] * 20 for i in range(5)}])
def test_runs_that_cannot_be_drawn_are_refused(runs: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="at most 4 runs of at least 10 steps"):
        draw_losses_over_floor(runs, 0.9)


def test_the_switch_says_what_it_costs() -> None:
    axes = draw_attention_switch({"trained narrow": (0.5, 0.7), "trained wide": (0.6, 0.59)}).axes[0]
    assert axes.get_title(loc="left") == "Opening the mask: +0.20 if trained narrow, -0.01 if trained wide"
    assert [list(np.asarray(line.get_ydata())) for line in axes.lines] == [[0.5, 0.7], [0.6, 0.59]]


def test_the_expectations_are_those_of_every_prefix_length_once() -> None:
    every, patches = torch.arange(1, 9), 9
    assert torch.allclose(counted_share(patches), counted_outputs(every, patches).float().mean(dim=0))
    sight = [sum(max(query + 1, length) for length in range(1, 9)) / 8 for query in range(9)]
    assert expected_sight(patches).tolist() == pytest.approx(sight)


def test_bars_are_shares_of_the_drawn_lengths() -> None:
    left, right = draw_prefix_spread(torch.tensor([1, 4, 4, 8]), patches=9, bars=8).axes
    heights = [bar.get_height() for bar in left.patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx([0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75, 1.0])
    assert left.get_title(loc="left").startswith("Output 0 counts in 1 of 8 images")
    assert right.get_title(loc="left") == "Query 0 sees 4 patches on average, not 1"


def test_a_leak_of_the_model_stands_out_and_is_counted() -> None:
    allowed = allowed_in_model(prefix_length=3, patches=5, tokens=2)
    axes = draw_model_leaks(allowed.float(), allowed, 5, 3).axes[0]
    assert axes.get_title(loc="left") == "Prefix of 3: no output sees what it must not"
    matrix = allowed.float()
    matrix[2, 3] = matrix[0, 5] = 0.1
    axes = draw_model_leaks(matrix, allowed, 5, 3).axes[0]
    assert axes.get_title(loc="left") == "Prefix of 3: 2 pairs must not be connected"
    drawn = np.asarray(axes.images[0].get_array())
    assert [tuple(place) for place in np.argwhere(drawn == 3)] == [(0, 5), (2, 3)]
    spans = [tuple(np.asarray(line.get_ydata())) for line in axes.lines[2:]]
    assert spans == [(1.6, 3.4), (4.6, 6.4)]  # outputs 2 … 3 and both text outputs
