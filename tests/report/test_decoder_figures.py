"""The figures of notebook 06 draw the numbers they are given, and their titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from aimv2_lab.report.decoder_figures import (
    NextWords,
    draw_cache_work,
    draw_caption_losses,
    draw_caption_reach,
    draw_next_word,
    draw_word_gradients,
    draw_words_and_pictures,
)

PICTURE = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_the_reach_counts_the_patches_with_a_gradient() -> None:
    figure = draw_caption_reach(PICTURE, {"one": torch.zeros(4), "two": torch.tensor([0.0, 1.0, 2.0, 4.0])})
    assert figure.get_suptitle() == "Patches that the caption loss reaches: 0 of 4 (one), 3 of 4 (two)"
    drawn = [np.asarray(panel.images[0].get_array()).tolist() for panel in figure.axes[1:]]
    assert drawn == [[[0, 0], [0, 0]], [[0, 1], [2, 4]]]
    assert figure.axes[1].images[0].get_clim() == figure.axes[2].images[0].get_clim() == (0, 4)


def test_the_words_with_the_largest_gradients_are_named_in_their_order() -> None:
    gradients = torch.tensor([[0.0] * 4, [2.0] * 4, [0.1] * 4, [3.0] * 4, [1.0] * 4])
    figure = draw_word_gradients(PICTURE, ["a", "red", "disc", "over", "end"], gradients)
    assert figure.get_suptitle() == "The words that pull hardest on the patches: “red”, “over”, “end”"
    assert [panel.get_title() for panel in figure.axes[1:6]] == ["“a”", "“red”", "“disc”", "“over”", "end"]
    assert figure.axes[2].images[0].get_clim() == (0, 3)


def test_the_title_says_where_the_runs_end() -> None:
    axes = draw_caption_losses({"one": [2.0] * 20, "two": [float(step) for step in range(20)]}, {"level": 0.8}).axes[0]
    assert axes.get_title(loc="left") == "The caption loss ends at 2.00 (one), 14.50 (two)"
    assert list(np.asarray(axes.lines[2].get_ydata())) == [0.8, 0.8]


@pytest.mark.parametrize("runs", [{"short": [1.0] * 9}, {str(i): [1.0] * 20 for i in range(3)}])
def test_runs_that_cannot_be_drawn_are_refused(runs: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="at most 2 runs of at least 10 steps"):
        draw_caption_losses(runs, {})


def test_kinds_that_need_their_picture_are_named() -> None:
    by_kind = {"colour": [1.0, 2.0, 5.0], "size": [1.0, 1.2, 1.9]}
    curves = [torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.5]), torch.tensor([3.0, 4.0])]
    figure = draw_words_and_pictures(by_kind, curves)
    assert figure.get_suptitle() == "These words need their picture: colour"
    left, right = figure.axes
    widths = [[bar.get_width() for bar in container] for container in left.containers if len(container)]
    assert widths == [[1.0, 1.0], [2.0, 1.2], [5.0, 1.9]]
    assert [list(np.asarray(line.get_ydata())) for line in right.lines] == [curve.tolist() for curve in curves]
    assert draw_words_and_pictures({"size": [1.0, 1.2, 1.9]}, curves).get_suptitle().endswith(": none")


def scene() -> NextWords:
    vocabulary = [f"word {number}" for number in range(8)] + ["red", "end"]
    own, other = torch.full((2, 10), 0.02), torch.full((2, 10), 0.03)
    own[0, 8], other[0, 8], own[1, 9] = 0.82, 0.01, 0.64
    return NextWords(PICTURE, PICTURE.flip(0), ["red", "end"], own, other, vocabulary)


def test_the_true_word_is_compared_beside_both_pictures() -> None:
    figure = draw_next_word([scene()], scene=0, place=0)
    expected = "[start] …\n“red” gets 82% beside its own picture, 1% beside another"
    assert figure.get_suptitle() == expected
    bars = figure.axes[1]
    assert bars.get_yticklabels()[0].get_text() == "red"
    assert bars.patches[0].get_width() == pytest.approx(0.82)  # type: ignore[attr-defined]
    assert draw_next_word([scene()], scene=0, place=1).get_suptitle().startswith("[start] red …\n“end” gets 64%")


@pytest.mark.parametrize("place", [-1, 2])
def test_a_place_behind_the_end_is_named(place: int) -> None:
    with pytest.raises(ValueError, match=f"scene 0 ends at place 1; there is no place {place}"):
        draw_next_word([scene()], scene=0, place=place)


def test_the_work_is_summed() -> None:
    axes = draw_cache_work([4, 1, 1], [4, 5, 6]).axes[0]
    assert axes.get_title(loc="left") == "3 tokens: 6 slots with the cache, 15 without"
    heights = [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]
    assert heights == [4, 5, 6, 4, 1, 1]
