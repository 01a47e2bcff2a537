"""Curves that grow while a model trains, over the band of other seeds.

    with LiveCurves(steps=150, band=band) as live:
        ...
        live.add({"step": 1, "pixel": 1.08, "text": 5.55})

In a notebook that a reader runs, a bar and a figure are updated in place. Where notebooks are tested (the environment
has AIMV2_LAB_FAST=1) nothing is shown before the closing line, whose text is compared between machines.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import ipywidgets
from IPython.display import display

from aimv2_lab.lessons.widgets import rendered
from aimv2_lab.report.band_figures import draw_band
from aimv2_lab.report.bands import NAMES, Band, judge

FAST = "AIMV2_LAB_FAST"


class LiveCurves:
    """Collects one record per step, with at least `step`, `pixel` and `text`, and draws those that the band has.

    Drawing takes a tenth of a second, so it is done every `every` steps.
    """

    def __init__(self, steps: int, band: Band, every: int = 10) -> None:
        self.records: list[dict[str, Any]] = []
        self.band, self.every = band, every
        self._bar = ipywidgets.IntProgress(max=steps, description="step 0")
        self._picture = ipywidgets.Image(format="png")
        self._picture.layout.max_width = "100%"
        self.shown = os.environ.get(FAST) != "1"

    def __enter__(self) -> Self:
        if self.shown:
            display(ipywidgets.VBox([self._bar, self._picture]))
        return self

    def add(self, record: Mapping[str, Any]) -> None:
        """Take the record of one more step."""
        self.records.append(dict(record))
        step = record["step"]
        if self.shown and step % self.every == 0:
            self._bar.value, self._bar.description = step, f"step {step}"
            if any(record["step"] % self.band.log_every == 0 for record in self.records):
                self._picture.value = rendered(draw_band(self.records, self.band))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self.records:
            print(self.closing_line())

    def closing_line(self) -> str:
        """Where the run stands: its last losses, and whether it is normal so far."""
        last = self.records[-1]
        losses = ", ".join(f"{name} {last[loss]:.2f}" for loss, name in NAMES.items())
        places = "\n".join(verdict.place for verdict in judge(self.records, self.band))
        return f"step {last['step']}: {losses}\n{places}"
