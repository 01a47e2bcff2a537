"""The figures of notebook 07 draw the numbers they are given, and their titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from aimv2_lab.report import objective_figures as figures
from aimv2_lab.report.stored import StoredResult, load_result


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def title(figure: Figure) -> str:
    return figure.get_suptitle()


def sweep() -> StoredResult:
    """Two weights and two seeds."""
    runs = [
        {
            "value": weight,
            "seed": seed,
            "measures": {
                "pixel": 1 - weight,
                "text": 1 + weight + 0.1 * seed,
                "true_facts": 0.5,
                "shape_probe": weight,
            },
            "curves": {"step": [5.0, 10.0], "pixel": [2.0, 1 - weight], "text": [3.0, 1.0 + seed]},
        }
        for weight in (0.5, 0.2)
        for seed in (0, 1)
    ]
    return StoredResult("test", "command", "2026-01-01", 1.0, {}, {}, runs)


def test_the_counted_outputs_are_those_behind_the_prefix_and_the_caption_with_its_end() -> None:
    real = torch.tensor([[True, True, True], [True, False, False]])
    axes = figures.draw_counted(torch.tensor([1, 3]), real, patches=4).axes[0]
    drawn = np.asarray(axes.images[0].get_array()).tolist()
    assert drawn == [[1, 1, 1, 0, 2, 2, 3], [0, 0, 1, 0, 3, 0, 0]]
    assert axes.get_title(loc="left") == "4 of 8 image outputs count, and 4 of 6 text outputs"


def test_cuts_are_drawn_in_order_and_the_worst_is_named() -> None:
    figure = figures.draw_cuts([4, 1], [(0.5, 0.0), (0.3, 0.25)], [(0.5, 0.0), (0.5, 0.0)])
    lines = [[list(np.asarray(line.get_ydata())) for line in axes.lines] for axes in figure.axes]
    assert lines == [[[0.5, 0.3], [0.5, 0.5]], [[0.0, 0.25], [0.0, 0.0]]]
    assert title(figure).endswith("the mean of means says 0.30 to 0.50; its gradient is off by up to 25%")


def test_caption_losses_are_smoothed_and_their_ends_named() -> None:
    runs = {"one": [float(step) for step in range(20)], "other": [1.0] * 20}
    axes = figures.draw_caption_losses(runs, "finding").axes[0]
    assert [line.get_label() for line in axes.lines] == ["one: 14.50", "other: 1.00"]
    assert np.asarray(axes.lines[0].get_ydata())[0] == pytest.approx(4.5)


def test_measures_are_gathered_by_ascending_weight() -> None:
    assert figures.by_weight(sweep(), "text") == {0.2: [1.2, 1.3], 0.5: [1.5, 1.6]}


def test_the_trade_names_the_best_weight_and_draws_the_means() -> None:
    figure = figures.draw_weight_trade(sweep(), sweep())
    assert title(figure) == r"Captions are learned best at $\alpha$ = 0.2: loss 1.25; 1.25 at 0.2, 1.55 at 0.5"
    centres = np.asarray(figure.axes[0].lines[0].get_xydata())
    assert centres == pytest.approx(np.array([[0.8, 1.25], [0.5, 1.55]]))
    facts, probe, untrained = (np.asarray(line.get_ydata()) for line in figure.axes[1].lines)
    assert untrained == pytest.approx([35, 35])  # the mean over all runs given
    assert facts == pytest.approx([50, 50]) and probe == pytest.approx([20, 50])


def test_the_chosen_weight_is_drawn_last_as_the_mean_of_its_seeds() -> None:
    figure = figures.draw_weight_curves(sweep(), 0.2)
    assert [list(np.asarray(axes.lines[-1].get_ydata())) for axes in figure.axes] == [[2.0, 0.8], [3.0, 1.5]]
    assert title(figure) == r"$\alpha$ = 0.2 ends at pixel loss 0.80, caption loss 1.50"
    with pytest.raises(ValueError, match=r"no run with a pixel weight of 0.3; the sweep has \[0.2, 0.5\]"):
        figures.draw_weight_curves(sweep(), 0.3)


def test_the_stored_sweep_is_the_one_that_the_notebook_describes() -> None:
    result = load_result("pixel_weight")
    assert {weight: len(seeds) for weight, seeds in figures.by_weight(result, "pixel").items()} == dict.fromkeys(
        (0.0, 0.1, 0.4, 1.6, 6.4), 3
    )
    untrained = load_result("pixel_weight_untrained")
    assert untrained.recipe["encoder"] == result.recipe["encoder"]
    assert untrained.recipe["training"]["steps"] == 1
    assert "/" not in result.command + untrained.command
