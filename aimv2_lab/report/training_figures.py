"""What happens beside the losses while a model trains, drawn: the schedule, gradient norms, and resumed runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from aimv2_lab.recipes import TrainingRecipe
from aimv2_lab.report.style import IMAGE, NEUTRAL, PREFIX, TRUE, WIDTH, WRONG, styled
from aimv2_lab.training.optimizers.building import learning_rate

POINTS = 600  # of the schedule that are drawn
RESUMED = (TRUE, WRONG, PREFIX)  # the first is the run that forgot nothing


@styled
def draw_schedule(training: TrainingRecipe, trained: int = 0) -> Figure:
    """The learning rate of every step of a run; the first `trained` steps are marked."""
    steps = np.unique(np.linspace(0, training.steps - 1, POINTS).round().astype(int))
    rates = [learning_rate(int(step), training) for step in steps]
    figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
    axes.plot(steps + 1, rates, color=TRUE)
    axes.axhline(training.min_lr, color=NEUTRAL, linewidth=1, linestyle=":")
    if trained:
        axes.axvspan(0, trained, color=NEUTRAL, alpha=0.4, linewidth=0, label=f"the first {trained} steps")
        axes.legend()
    axes.set(xlabel="step", ylabel="learning rate", xlim=(0, training.steps), ylim=(0, training.peak_lr * 1.05))
    share = training.warmup_steps / training.steps
    axes.set_title(
        f"Up for {training.warmup_steps:,} of {training.steps:,} steps ({share:.1%}), then down like a cosine"
    )
    return figure


@styled
def draw_gradient_norms(records: Sequence[Mapping[str, Any]], clip: float) -> Figure:
    """The gradient norm before clipping, from training records with `step` and `gradient_norm`, and the clip."""
    steps, norms = [row["step"] for row in records], [row["gradient_norm"] for row in records]
    figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
    axes.plot(steps, norms, color=IMAGE, label="gradient norm")
    axes.axhline(clip, color=TRUE, linewidth=1, linestyle=":", label=f"clipped to {clip:g}")
    axes.set(xlabel="step", ylabel="norm over all parameters", ylim=(0, None), xlim=(0, max(steps)))
    axes.legend()
    axes.set_title(f"Clipped in {sum(norm > clip for norm in norms)} of {len(norms)} steps")
    return figure


@styled
def draw_resumed(before: Sequence[float], after: Mapping[str, Sequence[float]]) -> Figure:
    """A loss up to a checkpoint, and how named runs went on from it, the first of which forgot nothing.

    The title names the largest rise over that first run. Raises ValueError for more than three runs.
    """
    if len(after) > len(RESUMED):
        raise ValueError(f"draw at most {len(RESUMED)} resumed runs, not {len(after)}")
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    axes.plot(range(-len(before) + 1, 1), before, color=NEUTRAL, label="before the checkpoint")
    for (name, values), colour in zip(after.items(), RESUMED, strict=False):
        axes.plot(range(1, len(values) + 1), values, color=colour, label=name)
    axes.axvline(0.5, color=NEUTRAL, linewidth=1, linestyle=":")
    axes.set(xlabel="step after the checkpoint", ylabel="pixel loss")
    axes.legend(loc="upper left")
    right, *forgetful = after.items()
    rises = {name: max(bad - good for bad, good in zip(values, right[1], strict=True)) for name, values in forgetful}
    axes.set_title("Highest above the exact run: " + ", ".join(f"{rise:+.2f} {name}" for name, rise in rises.items()))
    return figure
