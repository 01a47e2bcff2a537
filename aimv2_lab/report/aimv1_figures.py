"""AIM v1, drawn: error by raster position, predicted patches, and what its choices were worth over several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.data.transforms import denormalise
from aimv2_lab.evaluation.reconstruct import reconstruct
from aimv2_lab.model.models import AnyModel
from aimv2_lab.report.style import FAINT, IMAGE, NEUTRAL, PREFIX, TEXT, TRUE, WIDTH, WRONG, colour_scale, styled, tint

CURVES = ((IMAGE, "-", "o"), (WRONG, "--", "s"), (NEUTRAL, "--", "^"))


@styled
def draw_error_by_position(errors: Mapping[str, Tensor], columns: int) -> Figure:
    """Errors (I-1,) of named predictors by the patch that is predicted, 1 … I-1; grey bands mark the first of a row.

    The title compares, for the first predictor, the first patches of rows with the last of the same rows.
    """
    figure, axes = plt.subplots(figsize=(WIDTH * 1.1, 3.4))
    patches = len(next(iter(errors.values()))) + 1
    for start in range(columns, patches, columns):
        axes.axvspan(start - 0.4, start + 0.4, color=FAINT, linewidth=0, zorder=0)
    for (name, values), (colour, line, marker) in zip(errors.items(), CURVES, strict=False):
        axes.plot(range(1, patches), values, color=colour, linestyle=line, marker=marker, markersize=4, label=name)
    axes.set(
        xlabel="predicted patch, in raster order (grey: the first of a row)", ylabel="squared error", ylim=(0, None)
    )
    axes.set_xticks(range(1, patches))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    first, last = first_and_last_errors(next(iter(errors.values())), columns)
    axes.set_title(f"First of a row: error {first:.2f}; last of the same rows: {last:.2f}")
    return figure


def first_and_last_errors(errors: Tensor, columns: int) -> tuple[float, float]:
    """Mean error (I-1,) of the first patches of rows, and of the last of the same rows; the first row is left out.

    Entry i is the error of patch i+1.
    """
    return errors[columns - 1 :: columns].mean().item(), errors[2 * columns - 2 :: columns].mean().item()


@styled
def draw_error_grid(errors: Tensor, columns: int) -> Figure:
    """Errors (I-1,) of one predictor on the grid of patches; patch 0 is never predicted."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.55, WIDTH * 0.45))
    grid = errors.new_full((len(errors) + 1,), float("nan"))
    grid[1:] = errors
    shown = axes.imshow(grid.view(-1, columns).numpy(), cmap=colour_scale(WRONG), vmin=0)
    for patch, value in enumerate(grid.tolist()):
        text = "–" if patch == 0 else f"{value:.2f}"
        dark = patch > 0 and value > 0.6 * errors.max().item()
        axes.text(patch % columns, patch // columns, text, ha="center", va="center", color="white" if dark else TRUE)
    axes.set_axis_off()
    figure.colorbar(shown, ax=axes, shrink=0.8, label="squared error")
    hardest = int(errors.argmax()) + 1
    axes.set_title(f"Hardest to predict: patch {hardest}, row {hardest // columns}, column {hardest % columns}")
    return figure


@styled
def draw_next_patches(model: AnyModel, images: Tensor, prefix_length: int) -> Figure:
    """Pictures (B, 3, height, width), and below them the patches behind a prefix as a model predicts each of them.

    Every patch is predicted from all true patches before it and, where targets are standardised, takes the true patch's
    mean and deviation.
    """
    data, size = model.recipe.data, model.recipe.encoder.patch_size
    figure, panels = plt.subplots(2, len(images), figsize=(WIDTH, 2 * WIDTH / len(images) + 0.6))
    drawn = reconstruct(model, images, prefix_length)
    for row, pictures in enumerate((images, drawn)):
        for axes, picture in zip(panels[row], denormalise(pictures, data), strict=True):
            axes.imshow(picture.permute(1, 2, 0).numpy())
            axes.set_axis_off()
    for axes in panels[1]:
        _outline_prefix(axes, prefix_length, images.shape[-1] // size, size)
    for row, name in enumerate(("picture", "prefix, then\npredictions")):
        panels[row, 0].text(-0.08, 0.5, name, transform=panels[row, 0].transAxes, ha="right", va="center")
    patches = (images.shape[-2] // size) * (images.shape[-1] // size)
    given = ", brightness and contrast given" if model.recipe.objective.target == "standardised" else ""
    figure.suptitle(f"{prefix_length} patches shown, {patches - prefix_length} predicted{given}")
    return figure


def _outline_prefix(axes: Axes, length: int, columns: int, size: int) -> None:
    """A line around the patches of the prefix."""
    rows, rest = divmod(length, columns)
    corners = [(0, 0), (columns, 0), (columns, rows), (rest, rows), (rest, rows + 1), (0, rows + 1), (0, 0)]
    if rest == 0:
        corners = [(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)]
    if rows == 0:
        corners = [(0, 0), (rest, 0), (rest, 1), (0, 1), (0, 0)]
    across, down = zip(*((x * size - 0.5, y * size - 0.5) for x, y in corners), strict=True)
    axes.plot(across, down, color=PREFIX, linewidth=2.2, clip_on=False)


class Choice(NamedTuple):
    """One choice of AIM v1's: runs of a stored sweep, and how its two values are called, AIM v1's own first."""

    question: str
    runs: Sequence[Mapping[str, object]]
    names: Mapping[object, str]


def seed_measures(choice: Choice, measure: str) -> dict[str, list[float]]:
    """Name of the value -> the measure of every seed, in the order of the seeds."""
    found: dict[str, list[float]] = {}
    for value, name in choice.names.items():
        runs = sorted((run for run in choice.runs if run["value"] == value), key=lambda run: int(str(run["seed"])))
        found[name] = [float(run["measures"][measure]) for run in runs]  # type: ignore[index]
    return found


def gain(choice: Choice, measure: str) -> tuple[float, float]:
    """Mean and standard deviation, over the seeds, of what AIM v1's value gains over the other at the same seed."""
    ours, other = seed_measures(choice, measure).values()
    differences = [mine - theirs for mine, theirs in zip(ours, other, strict=True)]
    return mean(differences), stdev(differences)


@styled
def draw_choices(
    choices: Sequence[Choice], measure: str, label: str, untrained: Sequence[float] | None = None
) -> Figure:
    """One panel per choice: every seed a dot, the same seed joined by a line, means as bars.

    Panel titles give the mean gain of AIM v1's value and its standard deviation over the seeds; the figure's title
    names the choices whose gain is the larger of the two. `untrained` has the same measure of models before training,
    one per seed; their mean is drawn as a line.
    """
    figure, panels = plt.subplots(1, len(choices), figsize=(WIDTH * 1.2, 3.9), sharey=True, squeeze=False)
    for axes, choice in zip(panels[0], choices, strict=True):
        values = seed_measures(choice, measure)
        for pair in zip(*values.values(), strict=True):
            axes.plot([0, 1], pair, color=tint(TRUE, 0.35), linewidth=1, zorder=1)
        for place, (seeds, colour) in enumerate(zip(values.values(), (IMAGE, TEXT), strict=True)):
            axes.plot([place - 0.2, place + 0.2], [mean(seeds)] * 2, color=colour, linewidth=4, alpha=0.6)
            axes.scatter([place] * len(seeds), seeds, color=colour, zorder=2, s=28)
        if untrained is not None:
            axes.axhline(mean(untrained), color=TRUE, linewidth=1, linestyle=":")
        axes.set(xlim=(-0.5, 1.5), xticks=[0, 1])
        axes.set_xticklabels([f"{name}\n{mean(seeds):.2f}" for name, seeds in values.items()])
        difference, spread = gain(choice, measure)
        axes.set_title(f"{choice.question}\n{difference:+.3f} ± {spread:.3f}", fontsize=10)
    gains = [(choice.question.rstrip("?"), *gain(choice, measure)) for choice in choices]
    found = [question for question, difference, spread in gains if abs(difference) > spread]
    figure.suptitle(
        f"Larger than its spread: {'; '.join(found)}" if found else "No difference is larger than its spread"
    )
    panels[0, 0].set_ylabel(label)
    if untrained is not None:
        panels[0, 0].text(-0.45, mean(untrained), "untrained", fontsize=8.5, va="bottom")
    return figure
