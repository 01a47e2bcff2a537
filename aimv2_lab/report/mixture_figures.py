"""A mixture of sources, drawn: which source and pair stand at every position, and which rank reads it."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from aimv2_lab.data.order import MixedOrder
from aimv2_lab.report.style import IMAGE, PREFIX, TEXT, TRUE, WIDTH, styled, tint

# Pale, so that numbers can be read on them; sources of one picture collection share a hue.
COLOURS = (tint(IMAGE, 0.6), tint(IMAGE, 0.3), tint(PREFIX, 0.5), tint(TEXT, 0.65), tint(TEXT, 0.3))


@styled
def draw_mixture(order: MixedOrder, names: Sequence[str], ranks: int = 1, batch_size: int = 20) -> Figure:
    """The first block of a mixture, a global batch per row: colours are sources, numbers the pairs in them.

    Black lines part what the ranks read. Raises ValueError where the ranks do not divide the batch, or there are more
    sources than colours.
    """
    if len(names) > len(COLOURS):
        raise ValueError(f"{len(names)} sources; there are colours for {len(COLOURS)}")
    if batch_size % ranks:
        raise ValueError(f"a batch of {batch_size} cannot be cut into {ranks} equal parts")
    block = sum(order.weights)
    rows = -(-block // batch_size)
    figure, axes = plt.subplots(figsize=(WIDTH * 1.2, 0.42 * rows + 1.3))
    for position in range(block):
        place = order.place(position)
        row, column = divmod(position, batch_size)
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=COLOURS[place.source], edgecolor="white"))
        axes.text(column + 0.5, row + 0.5, str(place.row), ha="center", va="center", fontsize=7)
    for column in range(0, batch_size + 1, batch_size // ranks):
        axes.axvline(column, color=TRUE, linewidth=2)
    each = batch_size // ranks
    axes.set(xlim=(-0.05, batch_size + 0.05), ylim=(rows, 0), xticks=[each * (rank + 0.5) for rank in range(ranks)])
    axes.set_xticklabels([f"rank {rank}" for rank in range(ranks)])
    axes.set_yticks([row + 0.5 for row in range(rows)], [f"batch {row}" for row in range(rows)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    shares = [Patch(color=COLOURS[s], label=f"{order.weights[s]} {name}") for s, name in enumerate(names)]
    axes.legend(handles=shares, loc="upper center", bbox_to_anchor=(0.5, -0.12 - 0.1 / rows), ncols=len(names))
    parts = ", ".join(map(str, order.weights))
    who = f"{ranks} ranks share" if ranks > 1 else "one rank reads"
    axes.set_title(f"Of {block} positions the sources have exactly {parts}; {who} these batches")
    return figure
