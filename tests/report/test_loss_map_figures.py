"""The loss map draws the errors it is given, where they belong, and its titles follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure

from aimv2_lab.recipes import recipe
from aimv2_lab.report.loss_map_figures import by_kind, draw_loss_map, draw_patch_kinds

DATA = recipe("tiny").data
ROWS = torch.arange(9.0).reshape(3, 3) / 10  # row: prefix length 1, 2, 3; column: output 0, 1, 2 of a 2 x 2 grid
ERRORS, PICTURES = torch.stack([ROWS + 7, ROWS]), torch.zeros(2, 3, 4, 4)


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def written(figure: Figure) -> dict[tuple[float, float], str]:
    """Place on the map -> number."""
    return {text.get_position(): text.get_text() for text in figure.axes[1].texts}


def title(figure: Figure) -> str:
    return figure.get_suptitle()


def test_one_prefix_shows_its_row_at_the_patches_that_count() -> None:
    figure = draw_loss_map(PICTURES, ERRORS, DATA, 1, prefix_length=2)
    # Output 1 predicts patch 2, at the lower left, output 2 patch 3, at the lower right.
    assert written(figure) == {(0.5, 2.5): "0.40", (2.5, 2.5): "0.50"}
    assert title(figure) == "2 patches count, 0.45 each; patch 3 costs 0.50, the cheapest 0.40"


def test_without_a_prefix_every_patch_shows_its_mean_where_it_counts() -> None:
    figure = draw_loss_map(PICTURES, ERRORS, DATA, scene=1)
    assert written(figure) == {(2.5, 0.5): "0.00", (0.5, 2.5): "0.25", (2.5, 2.5): "0.50"}
    assert title(figure).startswith("3 patches count, 0.25 each; patch 3 costs 0.50")


@pytest.mark.parametrize("length", [-1, 4])
def test_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"prefix length {length} lies outside 1 … 3"):
        draw_loss_map(PICTURES, ERRORS, DATA, 0, length)


def test_bars_hold_shares_and_means_of_their_kind() -> None:
    errors, kinds = torch.tensor([[0.1, 0.3], [1.0, 0.2]]), torch.tensor([[0, 0], [2, 1]])
    assert by_kind(errors, kinds, 3) == [(0.5, pytest.approx(0.2)), (0.25, pytest.approx(0.2)), (0.25, 1.0)]
    axes = draw_patch_kinds(errors, kinds, ("ground", "it goes on", "it begins")).axes[0]
    drawn = [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in axes.patches]  # type: ignore[attr-defined]
    assert drawn == [pytest.approx(bar) for bar in ((0.0, 0.5, 0.2), (0.5, 0.25, 0.2), (0.75, 0.25, 1.0))]
    assert axes.get_title(loc="left") == "Where it begins, a patch costs 1.00; where it is ground, 0.20"
    assert "25% of patches, 62% of the loss" in axes.texts[2].get_text()  # 1.0 of 1.6
