"""The demo says whether its run is normal, from its curves and its ends, and draws the band behind its losses."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pytest
from matplotlib.collections import PolyCollection

from aimv2_lab.recipes import recipe
from aimv2_lab.report.band_figures import as_records
from aimv2_lab.report.bands import TINY_SEEDS, Band, band_for
from aimv2_lab.report.demo import draw_losses, seed_lines
from aimv2_lab.report.stored import load_result

STORED = load_result(TINY_SEEDS)


@pytest.fixture(scope="module")
def band() -> Band:
    return band_for(recipe("tiny"))


def records(factor: float = 1.0) -> list[dict[str, Any]]:
    """A stored seed's run, its pixel loss multiplied."""
    rows = as_records(STORED.values[0]["curves"])
    return [{**row, "kind": "train", "pixel": factor * row["pixel"]} for row in rows]


def test_a_normal_run_is_called_normal(band: Band) -> None:
    lines = seed_lines(records(), band, STORED, STORED.values[0]["measures"]).splitlines()
    assert lines[0] == f"is this run normal? {band.seeds} other seeds of the same recipe say:"
    assert lines[1:3] == ["  pixel loss: inside the band", "  caption loss: inside the band"]
    assert len(lines) == 7 and all(": among their 0." in line for line in lines[3:])


def test_a_strange_run_is_told_where_and_why(band: Band) -> None:
    ends = {**STORED.values[0]["measures"], "pixel": 0.9, "true_facts": 0.1}
    text = seed_lines(records(factor=2.0), band, STORED, ends)
    assert "pixel loss: outside from step 5, above. Usual causes: learning rate" in text
    pixel, caption, facts, shapes = text.splitlines()[3:]
    assert "0.900: above their" in pixel and "0.100: below their" in facts
    assert "among" in caption and "among" in shapes


@pytest.mark.parametrize("shaded", [True, False])
def test_the_band_lies_behind_the_losses_where_there_is_one(band: Band, shaded: bool) -> None:
    figure = plt.figure()
    draw_losses(figure, records(), band if shaded else None)
    for axes in figure.axes:
        areas = [area for area in axes.collections if isinstance(area, PolyCollection)]
        assert len(areas) == int(shaded)
        assert all(area.get_zorder() < axes.lines[0].get_zorder() for area in areas)
    plt.close(figure)
