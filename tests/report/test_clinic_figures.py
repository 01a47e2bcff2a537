"""The clinic's figures draw the numbers they are given, and their titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from aimv2_lab.report.bands import Band
from aimv2_lab.report.clinic_figures import (
    draw_findings,
    draw_first_losses,
    draw_over_floors,
    draw_parity,
    draw_places,
    draw_prefix_lengths,
    draw_targets,
    draw_updates,
    draw_values,
)

OUTPUTS = torch.arange(5)
TOKENS = torch.tensor([[2, 3, 1], [4, 1, 0]])


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def title(axes: Axes) -> str:
    return axes.get_title(loc="left")


def test_a_first_loss_far_from_the_blank_guess_is_named() -> None:
    pixel, text = draw_first_losses((0.7, 2.8), (1.0, 2.8)).axes
    assert title(pixel) == "First pixel loss: not a blank guess" and title(text) == "First caption loss: as expected"
    assert [bar.get_width() for bar in pixel.patches] == [0.7, 1.0]  # type: ignore[attr-defined]


def test_known_floors_are_drawn_in_the_loss_they_belong_to() -> None:
    steps = np.array([5.0, 10.0])
    band = Band(steps, dict.fromkeys(("pixel", "text"), steps * 0), dict.fromkeys(("pixel", "text"), steps), 3, 1)
    records = [{"step": 5, "pixel": 0.5, "text": 2.0}, {"step": 10, "pixel": 0.4, "text": 1.8}]
    pixel, text = draw_over_floors(records, band, {"text": 1.7}, "noise").axes
    assert title(pixel) == "Pixel loss: inside the band"
    assert list(np.asarray(text.lines[-1].get_ydata())) == [1.7, 1.7]
    assert len(text.lines) == len(pixel.lines) + 1


@pytest.mark.parametrize(
    ("compared", "moved", "found"),
    [
        (OUTPUTS + 1, OUTPUTS >= 2, "M = 3: outputs and patches as they must be"),
        (OUTPUTS, OUTPUTS >= 2, "5 outputs compared with another patch"),
        (OUTPUTS + 1, OUTPUTS >= 0, "2 outputs too many count"),
        (OUTPUTS + 1, OUTPUTS >= 4, "2 outputs do not count"),
    ],
)
def test_targets_name_what_is_compared_and_counted(compared: torch.Tensor, moved: torch.Tensor, found: str) -> None:
    left, right = draw_targets(compared, moved, TOKENS, TOKENS != 0, prefix_length=3).axes
    assert (title(left), title(right)) == (found, "No pad counts")
    drawn = np.asarray(left.images[0].get_array())
    assert drawn.argmax(axis=1).tolist() == compared.tolist()
    assert (drawn.max(axis=1) == 2).tolist() == moved.tolist()


def test_pads_that_count_are_counted() -> None:
    right = draw_targets(OUTPUTS + 1, OUTPUTS >= 2, TOKENS, torch.ones_like(TOKENS) > 0, prefix_length=3).axes[1]
    assert title(right) == "1 of 1 pads count"


def test_values_are_summed_up() -> None:
    left, right = draw_values(torch.tensor([0.0, 255.0]), torch.tensor([-1.0, 1.0])).axes
    assert title(left).startswith("Enters: mean 127.50") and title(right).startswith("To be predicted: mean 0.00")


@pytest.mark.parametrize(
    ("lengths", "found"),
    [
        ([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], "Every image draws its own length, on every rank"),
        ([[[1, 1], [3, 3]], [[5, 5], [7, 8]]], "3 of 4 batches hold one length only"),
        ([[[1, 2], [3, 4]], [[1, 2], [3, 4]]], "Rank 1 draws exactly what rank 0 draws"),
    ],
)
def test_prefixes_that_repeat_are_named(lengths: list[list[list[int]]], found: str) -> None:
    assert title(draw_prefix_lengths(torch.tensor(lengths)).axes[0]) == found


def test_places_that_are_alike_are_named() -> None:
    assert title(draw_places(torch.zeros(2, 3)).axes[0]) == "All features alike: no place is known"
    axes = draw_places(torch.tensor([[0.0, 0.5]])).axes[0]
    assert title(axes) == "Every place has a feature of its own"
    assert [text.get_text() for text in axes.texts] == ["0.0", "0.5"]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[0.0, 1e-7], [0.0, 1e-7]], "The encoder is the published one"),
        ([[0.0, 1e-7], [0.5, 0.1]], "It differs on very dim pictures only"),
        ([[0.0, 0.2], [0.5, 0.1]], "It differs from the place 'block 1' on"),
    ],
)
def test_parity_says_where_the_difference_begins(rows: list[list[float]], found: str) -> None:
    assert title(draw_parity(torch.tensor(rows), ["patches", "block 1"], 1e-4).axes[0]) == found


def test_updates_tell_the_rate_and_what_shrinks() -> None:
    rate, decay = draw_updates(torch.tensor([0.01, 0.02]), {"matrices": 0.99, "norms": 1.0}, 0.002).axes
    assert title(rate) == "Highest rate: 10.0 × the recipe's peak" and title(decay) == "Decay shrinks matrices only"
    everything = draw_updates(torch.tensor([0.01]), {"matrices": 0.99, "norms": 0.99}, 0.01).axes[1]
    assert title(everything) == "Decay shrinks 2 kinds of weight"


def test_faults_that_no_curve_shows_are_counted_and_bold() -> None:
    found = torch.tensor([[True, False], [False, True], [False, True]])
    axes = draw_findings(found, ["loud", "quiet", "silent"], ["curves", "leaks"], ["curves"]).axes[0]
    assert title(axes) == "No loss curve shows 2 of 3 faults (bold)"
    assert [label.get_fontweight() for label in axes.get_yticklabels()] == ["normal", "bold", "bold"]
