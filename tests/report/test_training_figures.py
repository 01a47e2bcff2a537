"""The figures of a run draw the numbers they are given, and their titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest

from aimv2_lab.recipes import recipe
from aimv2_lab.report.training_figures import draw_gradient_norms, draw_resumed, draw_schedule
from aimv2_lab.training.optimizers.building import learning_rate


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_the_schedule_is_the_optimizers() -> None:
    training = recipe("tiny").training
    axes = draw_schedule(training, trained=150).axes[0]
    steps, rates = (np.asarray(values) for values in axes.lines[0].get_data())
    assert [rates[0], rates[-1]] == [learning_rate(0, training), training.min_lr]
    assert rates.max() == pytest.approx(training.peak_lr, rel=1e-3)
    place = len(steps) // 3
    assert rates[place] == learning_rate(int(steps[place]) - 1, training)
    assert axes.get_title(loc="left") == "Up for 100 of 3,200 steps (3.1%), then down like a cosine"


def test_clipped_steps_are_counted() -> None:
    records = [{"step": step, "gradient_norm": norm} for step, norm in enumerate((3.0, 1.5, 1.0, 0.5), start=1)]
    axes = draw_gradient_norms(records, clip=1.0).axes[0]
    assert list(np.asarray(axes.lines[0].get_ydata())) == [3.0, 1.5, 1.0, 0.5]
    assert axes.get_title(loc="left") == "Clipped in 2 of 4 steps"


def test_the_largest_rise_over_the_exact_run_is_named() -> None:
    after = {"exact": [0.7, 0.6, 0.6], "forgot a": [0.7, 1.1, 0.9], "forgot b": [0.7, 0.62, 0.61]}
    axes = draw_resumed([0.9, 0.8], after).axes[0]
    assert axes.get_title(loc="left") == "Highest above the exact run: +0.50 forgot a, +0.02 forgot b"
    assert [len(np.asarray(line.get_ydata())) for line in axes.lines[:4]] == [2, 3, 3, 3]
    with pytest.raises(ValueError, match="at most 3 resumed runs, not 4"):
        draw_resumed([0.9], {**after, "forgot c": [0.7, 0.7, 0.7]})
