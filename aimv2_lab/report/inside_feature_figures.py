"""Features made visible: principal components as colours, nearest neighbours, and what neighbours share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from aimv2_lab.report.inside_figures import draw_grouped_shares, show_picture
from aimv2_lab.report.style import IMAGE, NEUTRAL, PREFIX, WIDTH, styled

FEATURE_COLOURS = (IMAGE, NEUTRAL, PREFIX)  # trained, untrained, pixels


@styled
def draw_components(pictures: Tensor, maps: Mapping[str, Tensor], explained: Mapping[str, float]) -> Figure:
    """Pictures (B, 3, height, width) in 0 … 1 above named maps (B, rows, columns, 3) of components as colours.

    `explained` says, for the title, how much of each encoder's three components what lies in the patch explains.
    """
    figure, panels = plt.subplots(
        1 + len(maps), len(pictures), figsize=(WIDTH, 1.16 * (1 + len(maps)) + 0.5), squeeze=False
    )
    for column, picture in enumerate(pictures):
        show_picture(panels[0, column], picture)
        for row, drawn in enumerate(maps.values(), start=1):
            panels[row, column].imshow(drawn[column].numpy())
    for axes, name in zip(panels[:, 0], ["picture", *maps], strict=True):
        axes.set_axis_on()
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    said = ", ".join(f"{name} {share:.0%}" for name, share in explained.items())
    figure.suptitle(f"What lies in the patch explains of the three components: {said}", fontsize=11)
    return figure


@styled
def draw_neighbours(
    pictures: Tensor, neighbours: Mapping[str, Tensor], queries: Sequence[int], shown: int = 3
) -> Figure:
    """Query pictures (of N, 3, height, width, in 0 … 1) and, by each kind of feature, their nearest neighbours."""
    widths = [1.0, *([0.2, *[1.0] * shown] * len(neighbours))]
    figure, panels = plt.subplots(
        len(queries), len(widths), figsize=(WIDTH * 1.15, 0.78 * len(queries) + 0.6), width_ratios=widths, squeeze=False
    )
    for row, query in enumerate(queries):
        for axes in panels[row]:
            axes.set_axis_off()
        show_picture(panels[row, 0], pictures[query], "query" if row == 0 else "")
        for group, (name, found) in enumerate(neighbours.items()):
            first = 2 + group * (shown + 1)
            for place, other in enumerate(found[query, :shown].tolist()):
                title = name if row == 0 and place == shown // 2 else ""
                show_picture(panels[row, first + place], pictures[other], title)
    figure.suptitle("The nearest pictures by cosine, for the first held-out scenes", fontsize=11)
    return figure


@styled
def draw_neighbour_agreement(shares: Mapping[str, Mapping[str, float]], chance: Mapping[str, float]) -> Figure:
    """How often the nearest neighbour shares each property, by kind of feature: {feature: {property: share}}."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.4))
    draw_grouped_shares(axes, shares, chance, FEATURE_COLOURS)
    axes.set(ylabel="share of nearest neighbours", xlabel="of the large object")
    best = {name: max(shares, key=lambda feature: shares[feature][name]) for name in chance}
    said = ", ".join(f"{name}: {feature}" for name, feature in best.items())
    axes.set_title(f"Whose neighbours agree most? {said}")
    return figure
