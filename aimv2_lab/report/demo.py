"""What the demo shows at its end: a table in the terminal and one picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.data.transforms import denormalise
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.evaluation.facts import FactScore, score_caption
from aimv2_lab.evaluation.reconstruct import reconstruct
from aimv2_lab.evaluation.world import SHOWN, WorldResult, world_pictures
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.report.band_figures import as_records, shade_band
from aimv2_lab.report.bands import Band, comparable_curves, end_range, judge
from aimv2_lab.report.figures import draw_curve
from aimv2_lab.report.stored import StoredResult
from aimv2_lab.report.style import IMAGE, PREFIX, TEXT, TRUE, WRONG, styled

PREFIX_SHARES = (0.2, 0.45, 0.7)  # of the patches, for the three reconstructions
END_ROWS = {
    "pixel": "held-out pixel loss",
    "text": "held-out caption loss",
    "true_facts": "share of true facts",
    "shape_probe": "shapes of large objects, probed",
}


def result_table(result: WorldResult, losses: Mapping[str, float]) -> str:
    """The measurements as a short table, then the shown scenes' captions beside true ones."""
    truth = result.truth
    rows = [
        ("pixel loss (a blank guess costs 1.0)", f"{losses['pixel']:.3f}"),
        ("caption loss (nats per token)", f"{losses['text']:.3f}"),
        ("true facts in generated captions", _facts(truth.generated)),
        ("  the decoder shown another picture", _facts(truth.shuffled_pictures)),
        ("  chance: true captions of other scenes", _facts(truth.other_scenes)),
        ("attentive probe on the large object's shape, trained encoder", f"{result.shape_trained:.1%}"),
        ("  the same probe on the untrained encoder", f"{result.shape_untrained:.1%}"),
    ]
    lines = [f"{name:<62} {value}" for name, value in rows]
    for index in SHOWN:
        lines += [f"\nheld-out scene {index}", f"  says: {result.generated[index]}"]
        lines.append(f"  true: {result.true_captions[index]}")
    return "\n" + "\n".join(lines) + "\n"


def _facts(score: FactScore) -> str:
    return f"{score.true_share:.1%} of {score.stated}"


def end_values(result: WorldResult, losses: Mapping[str, float]) -> dict[str, float]:
    """What the stored runs of other seeds were measured in at their end, by their names for it."""
    return {
        "pixel": losses["pixel"],
        "text": losses["text"],
        "true_facts": result.truth.generated.true_share,
        "shape_probe": result.shape_trained,
    }


def seed_lines(
    records: Sequence[Mapping[str, Any]], band: Band, stored: StoredResult, ends: Mapping[str, float]
) -> str:
    """Is this run normal? Its curves held against other seeds of its recipe, and where its ends lie among theirs."""
    lines = [f"is this run normal? {band.seeds} other seeds of the same recipe say:"]
    lines += [f"  {verdict}" for verdict in judge(records, band)]
    for name, row in END_ROWS.items():
        low, high = end_range(stored, name)
        place = "below" if ends[name] < low else "above" if ends[name] > high else "among"
        lines.append(f"  {row + ' at the end':<60} {ends[name]:.3f}: {place} their {low:.3f} … {high:.3f}")
    return "\n".join(lines) + "\n"


@styled
def draw_report(
    model: AIMv2,
    source: WorldSource,
    result: WorldResult,
    metrics: Sequence[Mapping[str, Any]],
    band: Band | None = None,
) -> Figure:
    """Loss curves above, over the band of other seeds where there is one; below, what it makes of held-out scenes.

    For the first of them: reconstructions at three prefix lengths, and captions.
    """
    figure = plt.figure(figsize=(12, 11))
    curves, scenes = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 2.6])[:, 0]
    draw_losses(curves, metrics, band)
    _draw_scenes(scenes, model, source, result)
    return figure


def draw_losses(figure: Any, metrics: Sequence[Mapping[str, Any]], band: Band | None) -> None:
    """Both losses into a figure or part of one; over a band, training losses are averaged as the band's were."""
    pixel, text = figure.subplots(1, 2)
    for axes, loss in ((pixel, "pixel"), (text, "text")):
        if band is not None:
            shade_band(axes, band, loss, until=metrics[-1]["step"])
    if band is not None:
        trained = comparable_curves([row for row in metrics if row["kind"] == "train"], band)
        windows = [{"kind": "train", **row} for row in as_records(trained)]
        metrics = [*windows, *(row for row in metrics if row["kind"] != "train")]
    draw_curve(pixel, metrics, "pixel", "pixel loss", "squared error per value", IMAGE)
    draw_curve(text, metrics, "text", "caption loss", "nats per token", TEXT)
    over = f", over the band of {band.seeds} other seeds" if band is not None else ""
    figure.suptitle(f"Losses of training pairs (line) and of held-out ones (dots){over}")


def _draw_scenes(figure: Any, model: AIMv2, source: WorldSource, result: WorldResult) -> None:
    """One row per scene: the picture, three reconstructions, the captions."""
    encoder = model.recipe.encoder
    lengths = [round(share * encoder.patches) for share in PREFIX_SHARES]
    images = world_pictures(source, SHOWN, model.recipe.data, encoder.image_size)
    columns = [images] + [reconstruct(model, images, length) for length in lengths]
    titles = ["the picture"] + [f"first {length} of {encoder.patches} patches given" for length in lengths]
    panels = figure.subplots(len(SHOWN), 5, width_ratios=[1, 1, 1, 1, 1.9])
    for row, index in enumerate(SHOWN):
        for column, pictures in enumerate(columns):
            _draw_picture(panels[row, column], denormalise(pictures[row : row + 1], model.recipe.data)[0])
            if column:
                outline_prefix(panels[row, column], lengths[column - 1], encoder.grid_size, encoder.patch_size)
            if row == 0:
                panels[row, column].set_title(titles[column], fontsize=9, fontweight="normal", loc="center")
        _write_captions(panels[row, 4], source, result, index)
    figure.suptitle(
        "Held-out scenes 0–3: patches behind the line are predicted, each from the true patches before it\n"
        "(drawn with the true patch's mean and deviation, which the model does not predict)"
    )


def _draw_picture(axes: Axes, picture: Tensor) -> None:
    axes.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy())
    axes.set_axis_off()


def outline_prefix(axes: Axes, length: int, grid: int, patch_size: int) -> None:
    """A stair line along the end of the prefix, in raster order."""
    rows, rest = divmod(length, grid)
    lower, upper, turn = (rows + 1) * patch_size - 0.5, rows * patch_size - 0.5, rest * patch_size - 0.5
    side = grid * patch_size - 0.5
    axes.plot(
        [-0.5, turn, turn, side], [lower if rest else upper, lower if rest else upper, upper, upper], color=PREFIX
    )


def _write_captions(axes: Axes, source: WorldSource, result: WorldResult, index: int) -> None:
    """The generated caption, coloured by whether all it says is true, above a true one."""
    axes.set_axis_off()
    text = result.generated[index]
    score = score_caption(text, source.scene(index))
    right = score.true == score.stated
    verdict = f"says ({score.true} of {score.stated} facts true):"
    rows = [(verdict, TRUE), (text, PREFIX if right else WRONG), ("a true caption:", TRUE)]
    height = 1.0
    for words, colour in [*rows, (result.true_captions[index], TRUE)]:
        lines = textwrap.wrap(words, 44) or ["(nothing)"]
        axes.text(0, height, "\n".join(lines), color=colour, fontsize=9, va="top", transform=axes.transAxes)
        height -= 0.11 * len(lines) + 0.04
