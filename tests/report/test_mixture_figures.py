"""A drawn mixture shows its shares, and the same pairs however many ranks read them."""

from collections import Counter

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from aimv2_lab.data.order import MixedOrder
from aimv2_lab.report.mixture_figures import COLOURS, draw_mixture

NAMES = ["large", "small", "rare"]
ORDER = MixedOrder([[500], [100], [7]], (6, 3, 1), seed=2)


def drawn(ranks: int) -> Axes:
    (axes,) = draw_mixture(ORDER, NAMES, ranks, batch_size=4).axes
    return axes


@pytest.fixture(autouse=True)
def closed() -> None:
    plt.close("all")


def test_every_position_has_the_colour_of_its_source_and_the_number_of_its_pair() -> None:
    axes = drawn(1)
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    colours = Counter(to_hex(cell.get_facecolor()) for cell in cells)
    assert colours == {to_hex(colour): weight for colour, weight in zip(COLOURS, (6, 3, 1), strict=False)}
    assert [int(text.get_text()) for text in axes.texts] == [ORDER.place(position).row for position in range(10)]
    assert "6, 3, 1" in axes.get_title(loc="left")


def test_ranks_part_the_batches_and_change_nothing_in_them() -> None:
    one, four = drawn(1), drawn(4)
    assert [text.get_text() for text in one.texts] == [text.get_text() for text in four.texts]
    assert (len(one.lines), len(four.lines)) == (2, 5)
    assert [label.get_text() for label in four.get_xticklabels()] == ["rank 0", "rank 1", "rank 2", "rank 3"]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be cut into 3"):
        drawn(3)
    with pytest.raises(ValueError, match="6 sources; there are colours for 5"):
        draw_mixture(MixedOrder([[1]] * 6, (1,) * 6, 0), ["s"] * 6)
