"""The ablations in words: which of the paper's differences show here, written from the stored runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aimv2_lab.evaluation.ablations.comparing import Measured, measured_rows
from aimv2_lab.evaluation.ablations.readings import READINGS, check_reading
from aimv2_lab.evaluation.ablations.tables import ABLATIONS, Ablation
from aimv2_lab.evaluation.ablations.verdicts import paper_difference, verdict
from aimv2_lab.report.stored import StoredResult

Tables = Mapping[str, Sequence[Measured]]


class Page:
    """A Markdown text, rendered in a notebook and plain elsewhere."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def all_tables(result: StoredResult) -> dict[str, Sequence[Measured]]:
    """Every table's rows, measured. Raises ValueError where a row has no runs."""
    return {name: measured_rows(table, result.values) for name, table in ABLATIONS.items()}


def verdict_table(measured: Tables) -> Page:
    """Every row that the paper has a number for: its difference to the default there and here, in points, and the
    verdict. Raises ValueError where a hand-written reading contradicts the numbers."""
    lines = ["| table | row | paper | here, P and T | |", "| --- | --- | --- | --- | --- |"]
    for name, rows in measured.items():
        check_reading(ABLATIONS[name], rows, READINGS[name])
        lines += [line for one in rows if (line := _line(ABLATIONS[name], one))]
    return Page("\n".join(lines))


def _line(table: Ablation, one: Measured) -> str:
    stated, word = paper_difference(table, one.row), verdict(table, one)
    if stated is None or one.differences is None:
        return ""
    found = one.differences["P and T"]
    reach = f" ± {100 * found.reach:.1f}" if found.reach is not None else ""
    here = f"{100 * found.mean:+.1f}{reach}".replace("-", "−")
    there = f"{stated:+.1f}{' ?' if one.row.unverified else ''}".replace("-", "−")
    said = word or f"a tie there; {one.clear()} here"
    return f"| {table.title} | {one.row.label} | {there} | {here} | {said} |"


def readings(measured: Tables) -> Page:
    """A sentence for every table: what its rows show, and why, as far as we can tell. Raises ValueError as above."""
    lines = []
    for name, rows in measured.items():
        table, reading = ABLATIONS[name], READINGS[name]
        check_reading(table, rows, reading)
        said: dict[str, list[str]] = {}
        for label, word in reading.rows.items():
            said.setdefault(word, []).append(label)
        parts = [f"*{word}* “{'”, “'.join(labels)}”" for word, labels in said.items()]
        against = f"({table.source}; against {table.default})"
        lines.append(f"- **{table.title}** {against}: {'; '.join(parts)}; at this scale, because {reading.because}")
    return Page("\n".join(lines))
