"""A run's losses inside the band of other seeds, drawn; the titles are the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aimv2_lab.report.bands import NAMES, Band, Verdict, comparable_curves, judge, seed_band
from aimv2_lab.report.curves import LOSSES
from aimv2_lab.report.stored import StoredResult
from aimv2_lab.report.style import IMAGE, NEUTRAL, TEXT, TRUE, WIDTH, WRONG, styled, tint

COLOURS = {"pixel": IMAGE, "text": TEXT}
UNITS = {"pixel": "mean squared error", "text": "nats per token"}
FEWEST_OTHERS = 5  # with fewer, Student's t in `seed_band` is more than 3 % too small
MARGIN = 1.05  # how far the axis goes on behind a run's last step


def shade_band(axes: Axes, band: Band, loss: str, until: float) -> None:
    """The band of one loss ("pixel" or "text"), behind whatever else the axes show, up to the step `until`."""
    shown = band.steps <= max(until, band.steps[0])
    low, high = band.low[loss][shown], band.high[loss][shown]
    label = f"band of {band.seeds} seeds"
    axes.fill_between(band.steps[shown], low, high, color=tint(COLOURS[loss], 0.25), linewidth=0, label=label, zorder=0)


@styled
def draw_band(records: Sequence[Mapping[str, Any]], band: Band, name: str = "this run") -> Figure:
    """Both losses of a run's training records over the band; what lies outside for good is drawn in another colour.

    The titles are the verdicts of `judge`. Raises its ValueError when no record falls into the band's steps.
    """
    curves, verdicts = comparable_curves(records, band), judge(records, band)
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH * 1.2, 3.4))
    for axes, verdict in zip(panels, verdicts, strict=True):
        _draw_loss(axes, curves, band, verdict, name)
    return figure


def _draw_loss(axes: Axes, curves: Mapping[str, Sequence[float]], band: Band, verdict: Verdict, name: str) -> None:
    """One loss: the band, the run, and the step at which it left."""
    loss, steps = verdict.loss, curves["step"]
    until = min(steps[-1] * MARGIN, band.steps[-1])
    shade_band(axes, band, loss, until)
    axes.plot(steps, curves[loss], color=TRUE, label=name)
    if verdict.left_at is not None:
        first = list(steps).index(verdict.left_at)
        axes.plot(steps[first:], curves[loss][first:], color=WRONG, label="after it left")
        axes.axvline(verdict.left_at, color=WRONG, linewidth=1, linestyle=":")
    axes.set(xlabel="step", ylabel=UNITS[loss], xlim=(0, until))
    axes.grid(axis="y", color=NEUTRAL, alpha=0.4, linewidth=0.6)
    axes.legend()
    axes.set_title(verdict.place[0].upper() + verdict.place[1:], color=TRUE if verdict.inside else WRONG)


def as_records(curves: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Stored curves as records, one per window, which `judge` and `draw_band` read like those of a run."""
    names = ("step", *LOSSES)
    return [dict(zip(names, row, strict=True)) for row in zip(*(curves[name] for name in names), strict=True)]


@styled
def draw_left_out(result: StoredResult, seed: int, others: int) -> Figure:
    """One stored seed's whole run over the band of the first `others` other seeds.

    Raises ValueError for a seed that is not stored, for more others than there are, and for fewer than FEWEST_OTHERS.
    """
    seeds = [run["seed"] for run in result.values]
    rest = [place for place, stored in enumerate(seeds) if stored != seed]
    if seed not in seeds or not FEWEST_OTHERS <= others <= len(rest):
        raise ValueError(
            f"seed {seed} with {others} others: stored are seeds {seeds}; take one, and {FEWEST_OTHERS} others or more"
        )
    place = seeds.index(seed)
    band = seed_band(result, without=(place, *rest[others:]))
    curves = result.values[place]["curves"]
    figure = draw_band(as_records(curves), band, f"seed {seed}")
    for axes, loss in zip(figure.axes, LOSSES, strict=True):
        axes.set_ylim(0.9 * min(curves[loss]), 1.6 * curves[loss][len(curves[loss]) // 2])
        axes.set_ylabel(f"{NAMES[loss]}, {UNITS[loss]}")
    return figure
