"""The comparison of resolutions in words: every claim with its difference, written from the stored runs."""

from __future__ import annotations

from collections.abc import Mapping

from aimv2_lab.evaluation.resolutions.claims import READINGS, Reading, answered
from aimv2_lab.evaluation.resolutions.comparing import Runs
from aimv2_lab.report.ablation_page import Page
from aimv2_lab.report.resolution_figures import signed


def claims(runs: Runs, group: str, readings: Mapping[str, Reading] = READINGS) -> Page:
    """A line for every claim of a group. Raises ValueError where a reading says another thing than the numbers."""
    lines = []
    for name, (claim, found, reading) in answered(runs, group, readings).items():
        paper = "" if claim.stated is None else f"; the paper {claim.stated:+.1f}".replace("-", "−")
        lines.append(f"- **{name}**: {signed(found.difference)}{paper}, *{found.word}*: {reading.because}")
    return Page("\n".join(lines))
