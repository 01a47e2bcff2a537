"""Several ranks, drawn: the same trace under other engines, and what a rank holds under each ZeRO stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aimv2_lab.recipes import PretrainingRecipe
from aimv2_lab.report.style import IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, styled, tint
from aimv2_lab.training.plan.activations import Activations
from aimv2_lab.training.plan.gpus import Gpu
from aimv2_lab.training.plan.memory import RankMemory, rank_memory

COLOURS = {
    "weights": IMAGE,
    "gathered": tint(IMAGE, 0.4),
    "gradients": TEXT,
    "optimizer": PREFIX,
    "communication": NEUTRAL,
    "activations": tint(WRONG, 0.6),
}
STAGES = (0, 1, 2, 3)


@styled
def draw_traces(alone: Sequence[float], parts: Mapping[str, tuple[int, Sequence[float]]]) -> Figure:
    """A run's total losses, and over them parts of other runs: name -> (step before the part, its losses).

    Below, how far each is from the first, relative to it; the title names the largest.
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=(WIDTH, 4.4), sharex=True, height_ratios=(3, 2))
    above.plot(range(1, len(alone) + 1), alone, color=NEUTRAL, linewidth=5, label="one process, never stopped")
    largest = 0.0
    for (name, (before, losses)), colour in zip(parts.items(), (IMAGE, TEXT, PREFIX), strict=False):
        steps = np.arange(before + 1, before + len(losses) + 1)
        apart = np.abs(np.asarray(losses) / np.asarray(alone)[steps - 1] - 1)
        above.plot(steps, losses, color=colour, label=name)
        below.plot(steps, apart, ".", color=colour)
        largest = max(largest, float(apart.max()))
    below.axhline(1e-6, color=TRUE, linewidth=1, linestyle=":")
    below.text(len(alone), 1.3e-6, "tolerance", ha="right", fontsize=8)
    below.set_yscale("symlog", linthresh=1e-8)
    below.set(ylim=(0, 1e-5), yticks=[0, 1e-7, 1e-6], xlabel="step", ylabel="apart, relative")
    above.set(ylabel="total loss")
    above.legend()
    above.set_title(f"Nowhere more than {_rounded_up(largest)} apart" if largest else "Equal to the last bit")
    return figure


def _rounded_up(number: float) -> str:
    """One digit that is not smaller."""
    size = 10.0 ** math.floor(math.log10(number))
    return f"{math.ceil(number / size) * size:.0e}"


@styled
def draw_norms(traces: Mapping[str, Sequence[Mapping[str, Any]]], clip: float) -> Figure:
    """Total loss and gradient norm of two runs, from their records; the title says how the two compare."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.0))
    for (name, rows), colour, style in zip(traces.items(), (NEUTRAL, WRONG), ("-", "--"), strict=True):
        steps = range(1, len(rows) + 1)
        left.plot(steps, [row["total"] for row in rows], style, color=colour, label=name)
        right.plot(steps, [row["gradient_norm"] for row in rows], style, color=colour, label=name)
    right.axhline(clip, color=TRUE, linewidth=1, linestyle=":")
    right.text(1, clip * 1.05, f"clipped to {clip:g}", fontsize=8)
    left.set(xlabel="step", ylabel="total loss")
    right.set(xlabel="step", ylabel="gradient norm", ylim=(0, None))
    left.legend()
    good, bad = traces.values()
    ratio = np.median([a["gradient_norm"] / b["gradient_norm"] for a, b in zip(good, bad, strict=True)])
    apart = max(abs(a["total"] / b["total"] - 1) for a, b in zip(good, bad, strict=True))
    figure.suptitle(f"Losses within {apart:.1%}, gradient norms {ratio:.1f} times too small", x=0.01, ha="left")
    return figure


@styled
def draw_held(rows: Sequence[Mapping[str, Any]], planned: Sequence[float]) -> Figure:
    """Bytes a parameter that one of several ranks was measured to hold, by kind, one row for each stage.

    `planned` are the sums that `rank_memory` says; they are marked. Raises ValueError unless there is one for each row.
    """
    if len(rows) != len(planned):
        raise ValueError(f"{len(rows)} stages were measured, and {len(planned)} planned")
    figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
    kinds = [kind for kind in COLOURS if kind in rows[0]]
    _bars(axes, [f"stage {row['stage']}" for row in rows], [{kind: row[kind] for kind in kinds} for row in rows])
    axes.plot(planned, range(len(rows)), "|", color=TRUE, markersize=22, markeredgewidth=2, label="planned")
    axes.set(xlabel="bytes a parameter on rank 0, measured", xlim=(0, 22))
    axes.legend(loc="lower right", markerscale=0.4)
    sums = {row["stage"]: sum(row[kind] for kind in kinds) for row in rows}
    least, most = min(sums, key=sums.__getitem__), max(sums, key=sums.__getitem__)
    axes.set_title(
        f"Stage {least} holds least: {sums[least]:.0f} bytes a parameter, where stage {most} holds {sums[most]:.0f}"
    )
    return figure


@styled
def draw_rank_memory(
    recipes: Mapping[str, PretrainingRecipe],
    counted: Mapping[str, tuple[int, Activations]],
    gpu: Gpu,
    model: str,
    ranks: int,
    micro_batch: int,
    recompute: bool,
) -> Figure:
    """What the plan says that a rank holds at its worst moment, under each ZeRO stage, by kind.

    `counted` are the parameters and activations of each recipe, by its name. The title names the first stage that fits.
    Raises ValueError for a batch that cannot be cut so.
    """
    held = []
    for stage in STAGES:
        changes = {"engine.zero_stage": stage, "training.micro_batch_size": micro_batch}
        recipe = recipes[model].change({**changes, "engine.activation_checkpointing": recompute})
        held.append(rank_memory(recipe, ranks, *counted[model]))
    figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
    _bars(axes, [f"stage {stage}" for stage in STAGES], [_in_gigabytes(memory) for memory in held])
    axes.plot([memory.peak / 1e9 for memory in held], STAGES, "|", color=TRUE, markersize=22, markeredgewidth=2)
    axes.axvline(gpu.usable / 1e9, color=TRUE, linewidth=1, linestyle=":")
    axes.set(
        xlabel=f"GB on each rank. Mark: at the worst moment. Dotted: what can be planned with, {gpu.name}",
        xlim=(0, None),
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    fitting = [stage for stage, memory in zip(STAGES, held, strict=True) if memory.peak <= gpu.usable]
    verdict = f"fits from stage {fitting[0]} on" if fitting else "fits at no stage"
    blocks = ", blocks recomputed" if recompute else ""
    axes.set_title(f"{model}, {ranks} ranks, micro-batch {micro_batch}{blocks}: {verdict}")
    return figure


def _in_gigabytes(memory: RankMemory) -> dict[str, float]:
    return {kind: getattr(memory, kind) / 1e9 for kind in COLOURS}


def _bars(axes: Axes, names: Sequence[str], parts: Sequence[Mapping[str, float]]) -> None:
    """Stacked horizontal bars, the first on top."""
    ends = np.zeros(len(parts))
    for kind in parts[0]:
        sizes = np.array([part[kind] for part in parts])
        if sizes.any():
            axes.barh(range(len(parts)), sizes, left=ends, color=COLOURS[kind], height=0.6, label=kind)
            ends += sizes
    axes.set_yticks(range(len(parts)), names)
    axes.invert_yaxis()
