"""The figures of notebook 09 draw the numbers they are given, and their titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from aimv2_lab.evaluation.fact_kinds import JudgedFact
from aimv2_lab.evaluation.patch_kinds import prediction_errors
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import recipe
from aimv2_lab.report.inside_attention_figures import (
    draw_agreement_with_occlusion,
    draw_patch_attention,
    draw_three_answers,
    draw_word_attention,
)
from aimv2_lab.report.inside_failure_figures import (
    Captioned,
    draw_captioned,
    draw_confusions,
    draw_fact_kinds,
    draw_fact_shift,
    faults,
)
from aimv2_lab.report.inside_feature_figures import draw_components, draw_neighbour_agreement, draw_neighbours
from aimv2_lab.report.inside_figures import (
    draw_contribution_kinds,
    draw_contributions,
    draw_errors_by_kind,
    draw_reconstruction,
)
from aimv2_lab.report.style import NEUTRAL, PREFIX, WRONG

DRAWS = torch.Generator().manual_seed(0)
PICTURE = torch.rand(3, 48, 48, generator=DRAWS)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]


def written(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_reconstruction_shows_what_was_given_and_what_the_rest_costs() -> None:
    model = AIMv2(recipe("tiny")).eval()
    images = torch.randn(2, 3, 48, 48, generator=DRAWS)
    figure = draw_reconstruction(model, images, prefix_length=6, scene=1)
    errors = prediction_errors(model, images[1:], 6)[0]
    assert written(figure.axes[2])[:7] == ["given"] * 6 + [f"{errors[6]:.2f}"]
    assert f"the others cost {errors[6:].mean():.2f}" in figure.get_suptitle()
    assert "true mean and deviation, which the model does not predict" in figure.get_suptitle()


def test_errors_are_drawn_by_kind_over_the_floor() -> None:
    axes = draw_errors_by_kind({1: [0.2, 0.4, 0.9], 9: [0.1, 0.3, 0.8]}, floor=0.05).axes[0]
    assert [list(np.asarray(line.get_ydata())) for line in axes.lines[:3]] == [[0.2, 0.1], [0.4, 0.3], [0.9, 0.8]]
    assert "goes on costs 0.40, one that begins 0.90, bare ground 0.20" in axes.get_title(loc="left")


def test_every_word_gets_its_nats() -> None:
    figure = draw_contributions(PICTURE, ["a", "red", "bar"], torch.tensor([-0.1, 1.5, 0.6, 99.0]))
    assert widths(figure.axes[1]) == pytest.approx([-0.1, 1.5, 0.6])
    assert figure.axes[1].get_title(loc="left") == "“red” owes most to the picture: 1.50 of 2.00 nats"


def test_kinds_of_words_get_their_means() -> None:
    axes = draw_contribution_kinds({"colour": torch.tensor([1.0, 3.0]), "verb": torch.tensor([-0.001])}).axes[0]
    assert widths(axes) == pytest.approx([2.0, -0.001])
    assert axes.get_title(loc="left") == "The picture is worth 2.00 nats to a colour word, 0.00 to a verb"


def test_a_patch_looks_where_its_row_says() -> None:
    weights = torch.zeros(2, 2, 16, 16)
    weights[1, 0, 5, 3], weights[1, 0, 5, 0] = 0.75, 0.25
    figure = draw_patch_attention(weights, PICTURE, layer=1, head=0, patch=5)
    assert written(figure.axes[1])[:4] == ["25", "0", "0", "75"]
    assert figure.get_suptitle() == "Encoder layer 1, head 0: patch 5 takes 75% from patch 3"
    for place in ({"layer": 2}, {"head": 2}, {"patch": 16}):
        with pytest.raises(ValueError, match="does not exist"):
            draw_patch_attention(weights, PICTURE, **{"layer": 0, "head": 0, "patch": 0, **place})


def test_a_word_looks_from_the_slot_that_predicts_it() -> None:
    weights, words = torch.zeros(1, 1, 19, 19), ["0 a", "1 red", "2 bar"]
    weights[0, 0, 17, 2], weights[0, 0, 17, 16], weights[0, 0, 17, 17] = 0.6, 0.3, 0.1
    figure = draw_word_attention(weights, PICTURE, words, 0, 0, "1 red")
    assert written(figure.axes[0])[2] == "100"
    assert widths(figure.axes[1]) == pytest.approx([0.3, 0.1])
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["start", "a"]
    assert "predicting “red”: 60% of the weight on the picture" in figure.get_suptitle()
    with pytest.raises(ValueError, match="'1 blue' is none of 0 a, 1 red"):
        draw_word_attention(weights, PICTURE, words, 0, 0, "1 blue")


def test_three_answers_name_their_first_patches() -> None:
    maps = {name: torch.eye(16)[patch] for name, patch in (("attention", 3), ("hiding", 7))}
    assert "attention: patch 3, hiding: patch 7" in draw_three_answers(PICTURE, "red", maps).get_suptitle()


def test_the_control_is_no_candidate() -> None:
    agreement = {"attention": 0.1, "gradient": 0.3, "twice": 0.7}
    top = {"attention": 0.2, "gradient": 0.4, "twice": 0.9}
    figure = draw_agreement_with_occlusion(agreement, top, patches=16, control="twice")
    assert figure.get_suptitle() == "Closest to hiding: gradient, the same first patch for 40%; twice 90%"
    assert widths(figure.axes[0]) == pytest.approx([0.1, 0.3, 0.7])
    assert widths(figure.axes[1]) == pytest.approx([0.2, 0.4, 0.9])


def test_components_stand_below_their_pictures() -> None:
    maps = {"trained": torch.rand(2, 4, 4, 3, generator=DRAWS)}
    figure = draw_components(PICTURE.expand(2, -1, -1, -1), maps, {"trained": 0.17})
    drawn = np.asarray(figure.axes[3].images[0].get_array())
    assert np.allclose(drawn, maps["trained"][1].numpy())
    assert figure.get_suptitle().endswith("trained 17%")


def test_neighbours_stand_beside_their_queries() -> None:
    pictures = torch.rand(5, 3, 8, 8, generator=DRAWS)
    found = {"trained": torch.tensor([[1, 2], [3, 4], [0, 1], [0, 1], [0, 1]])}
    panels = np.array(draw_neighbours(pictures, found, queries=[1], shown=2).axes)
    shown = [np.asarray(axes.images[0].get_array()).transpose(2, 0, 1) for axes in panels if axes.images]
    for drawn, number in zip(shown, (1, 3, 4), strict=True):
        assert np.allclose(drawn, pictures[number].numpy())


def test_shares_are_bars_and_the_title_names_the_winners() -> None:
    shares = {"trained": {"colour": 0.5, "shape": 0.9}, "pixels": {"colour": 0.8, "shape": 0.3}}
    axes = draw_neighbour_agreement(shares, {"colour": 0.1, "shape": 0.2}).axes[0]
    heights = [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]
    assert heights == [0.5, 0.9, 0.8, 0.3]
    assert axes.get_title(loc="left") == "Whose neighbours agree most? colour: pixels, shape: trained"
    assert [list(np.asarray(line.get_ydata())) for line in axes.lines] == [[0.1, 0.1], [0.2, 0.2]]


def test_kinds_that_do_not_beat_a_guess_are_named() -> None:
    axes = draw_fact_kinds({"colour": (9, 10), "side": (4, 10)}, {"colour": 0.2, "side": 0.5}).axes[0]
    assert axes.get_title(loc="left") == "No better than a blind guess: side"
    assert widths(axes) == pytest.approx([0.9, 0.4])
    axes = draw_fact_kinds({"colour": (9, 10)}, {"colour": 0.2}).axes[0]
    assert axes.get_title(loc="left") == "All kinds beat a blind guess"


def test_the_deepest_fall_is_named() -> None:
    shares = {"usual": {"a": 0.9, "b": 0.8}, "odd": {"a": 0.7, "b": 0.1}}
    axes = draw_fact_shift(shares, {"a": 0.5, "b": 0.5}).axes[0]
    assert axes.get_title(loc="left") == "The deepest fall: b, 0.80 to 0.10 with odd"


def test_the_most_frequent_mistake_is_named() -> None:
    figure = draw_confusions({"large": [[5, 1], [0, 9]], "small": [[2, 3], [1, 4]]}, ["bar", "star"])
    assert figure.get_suptitle() == "The most frequent mistake, 3 times: small: bar called star"
    assert written(figure.axes[1]) == ["2", "3", "1", "4"]


def test_captions_are_coloured_by_their_truth() -> None:
    shown = [Captioned(PICTURE, "scene", "a red bar.", "false: bar", right) for right in (True, False, None)]
    figure = draw_captioned(shown, "title")
    colours = [axes.texts[0].get_color() for axes in figure.axes]
    assert colours[:2] == [PREFIX, WRONG] and colours[2] not in (PREFIX, WRONG, NEUTRAL)


def test_faults_say_what_is_true() -> None:
    facts = [JudgedFact("colour", "red", "red"), JudgedFact("size", "large", None)]
    facts += [JudgedFact("shape of a small object", "cross", "bar"), JudgedFact("direction", "above", "below")]
    assert faults(facts) == "large (no such object), cross (bar), the direction"
