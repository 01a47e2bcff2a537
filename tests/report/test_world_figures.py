"""The pictures of the generated world show what they say they show."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from aimv2_lab.data.captions import false_facts
from aimv2_lab.data.world import boxes
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.report.batch_figures import draw_batch, draw_draws_by_worker
from aimv2_lab.report.world_figures import (
    draw_distance_field,
    draw_factor_shares,
    draw_presets,
    draw_scene,
    draw_scores,
)


@pytest.fixture(autouse=True)
def close_figures() -> object:
    yield
    plt.close("all")


@pytest.mark.parametrize("preset", ["easy", "separating", "rich"])
def test_a_scene_is_drawn_with_its_boxes_and_captions(preset: str) -> None:
    source = WorldSource(preset, "train")
    picture, covered, texts = draw_scene(preset, 7, size=50).axes
    drawn = [p for p in picture.patches if isinstance(p, Rectangle)]
    wanted = boxes(source.scene(7)) * 50 - 0.5
    assert np.allclose(
        [[*p.get_xy(), p.get_width(), p.get_height()] for p in drawn],
        np.c_[wanted[:, :2], wanted[:, 2:] - wanted[:, :2]],
    )
    assert all(np.asarray(axes.images[0].get_array()).shape == (50, 50, 3) for axes in (picture, covered))
    written = " ".join(text.get_text().replace("\n", " ") for text in texts.texts)
    for caption in (source.captions(7)[0], source.captions(7)[-1]):
        assert caption.text in written


def test_false_facts_are_told_apart() -> None:
    source = WorldSource("rich", "train")
    false = {index: false_facts(source.captions(index)[-1].facts, source.scene(index)) for index in range(40)}
    index, fact = next((index, found[0]) for index, found in false.items() if found and found[0].kind != "relation")
    lines = [text.get_text() for text in draw_scene("rich", index).axes[2].texts]
    assert any(line.startswith("false:") and fact.value in line for line in lines)
    assert not any(line.startswith("true:") and f"{fact.subject} {fact.value}" in line for line in lines)


@pytest.mark.parametrize("index", [-1, 10_000])
def test_a_scene_that_does_not_exist_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="scene"):
        draw_scene("easy", index)


def test_presets_are_rows_of_their_first_scenes() -> None:
    figure = draw_presets(["easy", "rich"], columns=3, size=32)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["easy", "", "", "rich", "", ""]
    shown = figure.axes[4].images[0].get_array()
    assert np.array_equal(np.asarray(shown), np.asarray(WorldSource("rich", "train", size=32)[1].image))


def test_numbers_of_a_distance_field_are_written() -> None:
    distance = np.array([[-1.25, 0.0], [0.5, 2.0]])
    figure = draw_distance_field(distance, np.clip(0.5 - distance, 0, 1), torch.zeros(3, 2, 2))
    assert [text.get_text() for text in figure.axes[0].texts] == ["−1.2", "0.0", "0.5", "2.0"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["1.0", "0.5", "0.0", "0.0"]


def test_scores_are_titled_with_their_mean() -> None:
    figure = draw_scores({"a": [1.0, 0.5], "b": [0.0, 0.0], "c": [0.2]}, "score", "finding")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["a: 0.75 on average", "b: 0.00 on average", "c: 0.20 on average"]


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]


def test_factor_bars_have_the_lengths_given() -> None:
    classes = {"ground": "P", "marks": "T"}
    figure = draw_factor_shares(classes, {"ground": 0.75, "marks": 0.25}, {"ground": 0.6, "marks": 0.4},
                                {"ground": 0.0, "marks": 0.8, "count": 0.2})  # fmt: skip
    pixels, words = figure.axes
    assert widths(pixels) == pytest.approx([75, 60, 25, 40, 0, 0])
    assert widths(words) == pytest.approx([0, 80, 20])
    assert figure.get_suptitle() == "Marks: 40.0 % of the pixel target, 80 % of what is said"


def test_a_batch_veils_what_is_not_in_the_prefix() -> None:
    images, counted = torch.zeros(1, 3, 4, 4), torch.tensor([[True, True, False]])
    figure = draw_batch(images, [["red", "</s>", "<pad>"]], counted, torch.tensor([3]), patch_size=2)
    picture, tokens = figure.axes
    shown = np.asarray(picture.images[0].get_array())[..., 0]
    assert np.array_equal(shown, np.kron([[0, 0], [0, 0.75]], np.ones((2, 2))))
    assert [text.get_text() for text in tokens.texts] == ["red", "</s>", "<pad>"]
    assert "33%" in figure.get_suptitle()


def test_repeated_batches_are_counted() -> None:
    figure = draw_draws_by_worker({"same": [1, 2, 1, 2], "other": [1, 2, 3, 4]}, batch_size=2, workers=2)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["same: 1 different batches of 2", "other: 2 different batches of 2"]
