"""The figures of several ranks draw the numbers they are given, and their titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from aimv2_lab.recipes import recipe
from aimv2_lab.report.hand_off_figures import draw_held, draw_norms, draw_rank_memory, draw_traces
from aimv2_lab.training.plan.activations import Activations, Kept
from aimv2_lab.training.plan.gpus import Gpu
from aimv2_lab.training.plan.memory import rank_memory

LARGE = recipe("aimv2-large-224")
COUNTED = {"large": (530_000_000, Activations(Kept(0, 400_000_000), Kept(0, 80_000_000)))}


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def title(axes: Axes) -> str:
    return axes.get_title(loc="left")


def ends(axes: Axes, row: int) -> float:
    """Where the bars of a row end."""
    return max(bar.get_x() + bar.get_width() for bars in axes.containers for bar in [bars[row]])


def test_parts_are_drawn_at_their_steps_and_the_largest_difference_is_named() -> None:
    figure = draw_traces([4.0, 2.0, 1.0], {"a": (0, [4.0]), "b": (1, [2.0, 1.00000031])})
    above, below = figure.axes
    assert list(np.asarray(above.lines[2].get_xdata())) == [2, 3]
    assert np.asarray(below.lines[1].get_ydata()) == pytest.approx([0, 3.1e-7], rel=1e-3)
    assert title(above) == "Nowhere more than 4e-07 apart"
    assert title(draw_traces([4.0], {"a": (0, [4.0])}).axes[0]) == "Equal to the last bit"


def test_norms_are_compared_by_their_ratio_and_losses_by_their_largest_difference() -> None:
    good = [{"total": 2.0, "gradient_norm": 4.0}, {"total": 1.0, "gradient_norm": 8.0}]
    bad = [{"total": 2.0, "gradient_norm": 1.0}, {"total": 1.01, "gradient_norm": 2.0}]
    figure = draw_norms({"right": good, "wrong": bad}, clip=1.0)
    assert figure.get_suptitle() == "Losses within 1.0%, gradient norms 4.0 times too small"
    assert list(np.asarray(figure.axes[1].lines[1].get_ydata())) == [1.0, 2.0]


def held(stage: int, gathered: float, gradients: float) -> dict[str, Any]:
    return {"stage": stage, "weights": 4.0, "gathered": gathered, "optimizer": 6.0, "gradients": gradients}


def test_what_a_rank_holds_is_stacked_by_kind_beside_the_plan() -> None:
    rows = [held(0, 0.0, 6.0), held(2, 0.0, 2.0), held(3, 4.0, 1.0)]
    axes = draw_held(rows, planned=[16, 12, 15]).axes[0]
    assert [ends(axes, row) for row in range(3)] == [16, 12, 15]
    assert list(np.asarray(axes.lines[0].get_xdata())) == [16, 12, 15]
    assert title(axes) == "Stage 2 holds least: 12 bytes a parameter, where stage 0 holds 16"
    with pytest.raises(ValueError, match="3 stages were measured, and 2 planned"):
        draw_held(rows, planned=[16, 12])


def test_the_memory_of_a_rank_is_the_plans_and_the_first_stage_that_fits_is_named() -> None:
    def drawn(gigabytes: float, recompute: bool = False) -> Axes:
        gpu = Gpu("test", gigabytes * 1e9 / 0.9, 1e12)
        return draw_rank_memory({"large": LARGE}, COUNTED, gpu, "large", 64, 32, recompute).axes[0]

    peaks = []
    for stage in range(4):
        changed = LARGE.change({"engine.zero_stage": stage, "training.micro_batch_size": 32})
        peaks.append(rank_memory(changed, 64, *COUNTED["large"]).peak / 1e9)
    assert np.asarray(drawn(80).lines[0].get_xdata()) == pytest.approx(peaks)
    assert title(drawn(80)) == "large, 64 ranks, micro-batch 32: fits from stage 0 on"
    assert peaks[1] < peaks[0]
    assert title(drawn((peaks[0] + peaks[1]) / 2)).endswith("fits from stage 1 on")
    assert title(drawn(1)).endswith("fits at no stage")
    assert max(np.asarray(drawn(80, recompute=True).lines[0].get_xdata())) < min(peaks)
    with pytest.raises(ValueError, match="cannot be cut into 64 ranks"):
        draw_rank_memory({"large": LARGE}, COUNTED, Gpu("test", 80e9, 1e12), "large", 64, 256, False)
