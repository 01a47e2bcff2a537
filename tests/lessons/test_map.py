"""Notebook 00's map names every notebook there is, with the reading time of its own card, and plans no existing one."""

from __future__ import annotations

import re

from aimv2_lab.lessons.notebooks import NOTEBOOKS, read

CARD_MINUTES = re.compile(r"\|\s*\*\*(?:Read / run|Minutes)\*\*\s*\|\s*(\d+)")
ROW = re.compile(r"^\| (\d\d) \| ([^|]+) \| [^|]+ \| (\d+|planned) \|$", re.MULTILINE)


def map_rows() -> dict[str, tuple[str, str]]:
    """Number -> (title or link, minutes or "planned")."""
    cells = read(NOTEBOOKS / "00_start_here.ipynb").cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return {number: (title, minutes) for number, title, minutes in ROW.findall(text)}


def test_the_map_agrees_with_the_cards() -> None:
    rows, stems = map_rows(), {path.stem[:2]: path.stem for path in NOTEBOOKS.glob("*.ipynb")}
    assert {number for number, (_, minutes) in rows.items() if minutes != "planned"} == set(stems)
    for number, stem in stems.items():
        title, minutes = rows[number]
        found = CARD_MINUTES.search(read(NOTEBOOKS / f"{stem}.ipynb").cells[0].source)
        assert found and minutes == found[1], f"{stem}: the map says {minutes} minutes"
        assert number == "00" or f"({stem}.ipynb)" in title


def test_the_map_is_complete() -> None:
    assert sorted(map_rows()) == [f"{number:02}" for number in range(14)]
