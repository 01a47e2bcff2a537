"""Under test only the closing line appears; otherwise one figure grows in place."""

from __future__ import annotations

from typing import Any

import pytest

from aimv2_lab.lessons import live
from aimv2_lab.lessons.live import FAST, LiveCurves
from aimv2_lab.recipes import recipe
from aimv2_lab.report.bands import Band, band_for


@pytest.fixture(scope="module")
def band() -> Band:
    return band_for(recipe("tiny"))


def middle(band: Band, steps: int) -> list[dict[str, Any]]:
    """Records of the band's middle at its first windows."""
    return [
        {"step": int(step), **{loss: float(band.low[loss][n] + band.high[loss][n]) / 2 for loss in ("pixel", "text")}}
        for n, step in enumerate(band.steps)
        if step <= steps
    ]


def test_under_test_only_the_closing_line_is_printed(
    band: Band, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FAST, "1")
    monkeypatch.setattr(live, "display", lambda shown: pytest.fail("something was displayed"))
    with LiveCurves(steps=30, band=band) as curves:
        for record in middle(band, 30):
            curves.add(record)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("step 30: pixel loss 0.") and ", caption loss" in printed[0]
    assert printed[1:] == ["pixel loss: inside the band", "caption loss: inside the band"]


def test_for_a_reader_the_figure_is_drawn_again_in_one_place(band: Band, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FAST, raising=False)
    shown: list[Any] = []
    monkeypatch.setattr(live, "display", shown.append)
    with LiveCurves(steps=30, band=band) as curves:
        (box,) = shown
        bar, picture = box.children
        drawn = []
        for record in middle(band, 30):
            curves.add(record)
            drawn.append(bytes(picture.value))
    assert drawn[-1].startswith(b"\x89PNG")
    assert len(set(drawn)) == 4  # nothing at step 5, then after 10, 20 and 30
    assert (bar.value, bar.max) == (30, 30)


def test_an_error_in_training_is_not_covered_by_a_closing_line(
    band: Band, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FAST, "1")
    with pytest.raises(FloatingPointError), LiveCurves(steps=30, band=band) as curves:
        curves.add(middle(band, 5)[0])
        raise FloatingPointError
    assert capsys.readouterr().out == ""
