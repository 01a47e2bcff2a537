"""The band is drawn where it is, the run over it, and the titles are the verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from aimv2_lab.recipes import recipe
from aimv2_lab.report.band_figures import as_records, draw_band, draw_left_out
from aimv2_lab.report.bands import TINY_SEEDS, Band, band_for
from aimv2_lab.report.stored import load_result
from aimv2_lab.report.style import TRUE, WRONG


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def band() -> Band:
    return band_for(recipe("tiny"))


def middle(band: Band, rise: float = 0.0, until: int = 300) -> list[dict[str, float]]:
    """A run in the middle of the band, whose pixel loss rises by `rise` at step 100."""
    halves = {loss: (band.low[loss] + band.high[loss]) / 2 for loss in ("pixel", "text")}
    halves["pixel"] = halves["pixel"] + rise * (band.steps >= 100)
    shown = band.steps <= until
    return as_records({"step": band.steps[shown].tolist(), **{loss: v[shown].tolist() for loss, v in halves.items()}})


def shaded(axes: Axes) -> np.ndarray[Any, Any]:
    """Corners (points, 2) of the band that is drawn."""
    (area,) = [found for found in axes.collections if isinstance(found, PolyCollection)]
    return np.asarray(area.get_paths()[0].vertices)


def test_the_band_and_the_run_are_drawn(band: Band) -> None:
    records = middle(band)
    for axes, loss in zip(draw_band(records, band, "mine").axes, ("pixel", "text"), strict=True):
        corners = shaded(axes)
        place = int(np.flatnonzero(band.steps == 100)[0])
        drawn = corners[corners[:, 0] == 100][:, 1]
        assert sorted(drawn) == pytest.approx([band.low[loss][place], band.high[loss][place]])
        assert corners[:, 0].max() <= 300 * 1.05
        assert list(np.asarray(axes.lines[0].get_ydata())) == pytest.approx([r[loss] for r in records], abs=1e-4)
        assert axes.get_title(loc="left").endswith("loss: inside the band")
        assert [text.get_text() for text in axes.get_legend().get_texts()][-2:] == ["band of 10 seeds", "mine"]  # type: ignore[union-attr]


def test_what_left_is_drawn_in_another_colour_from_where_it_left(band: Band) -> None:
    pixel, text = draw_band(middle(band, rise=0.5), band).axes
    assert pixel.get_title(loc="left") == "Pixel loss: outside from step 100, above"
    assert [line.get_color() for line in pixel.lines] == [TRUE, WRONG, WRONG]
    assert np.asarray(pixel.lines[1].get_xdata())[0] == 100
    assert text.get_title(loc="left") == "Caption loss: inside the band"
    assert [line.get_color() for line in text.lines] == [TRUE]


def test_a_seed_left_out_is_drawn_over_the_band_of_the_others() -> None:
    result = load_result(TINY_SEEDS)
    seed, curves = result.values[2]["seed"], result.values[2]["curves"]
    axes = draw_left_out(result, seed, others=9).axes[1]
    assert list(np.asarray(axes.lines[0].get_ydata())) == pytest.approx(curves["text"])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert set(labels) == {"band of 9 seeds", f"seed {seed}"}


@pytest.mark.parametrize(("seed", "others"), [(99, 5), (1, 4), (1, 10)])
def test_seeds_that_are_not_there_are_refused(seed: int, others: int) -> None:
    with pytest.raises(ValueError, match=f"seed {seed} with {others} others: stored are seeds"):
        draw_left_out(load_result(TINY_SEEDS), seed, others)
