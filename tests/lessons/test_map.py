"""The tables of README and notebook 00 are those that cards, budgets and the system's picture give."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from aimv2_lab.lessons import cards
from aimv2_lab.lessons.budgets import ROOT
from aimv2_lab.lessons.cards import NOTEBOOKS, PLANNED, all_notebooks, read_card, with_tables
from aimv2_lab.lessons.notebooks import START_HERE, read, write
from aimv2_lab.report.boxes import BOXES
from aimv2_lab.report.system import draw_system

COMMAND = "run: python -m aimv2_lab.lessons.notebooks map"


def start_here() -> str:
    return "\n".join(cell.source for cell in read(START_HERE).cells if cell.cell_type == "markdown")


PAGES = {"README.md": ((ROOT / "README.md").read_text(), ROOT), "notebook 00": (start_here(), NOTEBOOKS)}

every_page = pytest.mark.parametrize("page", PAGES)


@every_page
def test_the_tables_are_up_to_date(page: str) -> None:
    text, folder = PAGES[page]
    assert text.count("<!-- generated:") == len(cards.TABLES)
    assert text == with_tables(text, folder), COMMAND


@every_page
def test_every_link_leads_somewhere(page: str) -> None:
    text, folder = PAGES[page]
    for table in cards.TABLES.values():
        links = re.findall(r"\]\(([^)]+)\)", table(folder))
        assert links and not [link for link in links if not (folder / link).is_file()]
        assert table(folder) in text, COMMAND


@every_page
def test_every_notebook_has_its_row_with_what_it_declares(page: str) -> None:
    text = PAGES[page][0]
    for card in map(read_card, all_notebooks()):
        run = f"{card.budget.seconds} s" if card.budget else "not measured"
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {card.number} | [{card.title}]")]
        assert card.question in row and f"{card.minutes} min" in row and row.endswith(f"| {run} |")


def test_what_is_planned_is_not_there_yet() -> None:
    existing = {path.name[:2] for path in all_notebooks()}
    stale = existing & set(PLANNED)
    assert not stale, f"{sorted(stale)} exist: drop them from PLANNED in aimv2_lab/lessons/cards.py"


def test_every_box_of_the_picture_is_in_the_table_with_its_badge() -> None:
    drawn = [text for text in draw_system().axes[0].texts if text.get_fontweight() == "bold"]
    plt.close("all")
    names = [text.get_text() for text in drawn if not text.get_text().startswith("total")]
    assert sorted(names) == sorted(box.name for box in BOXES)
    for box in BOXES:
        (row,) = [line for line in cards.system_table(ROOT).splitlines() if line.startswith(f"| {box.name} |")]
        assert f"[{box.notebook}](" in row or f"{box.notebook}, to come" in row


def test_text_around_the_tables_stays_and_a_lost_comment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "TABLES", {"one": lambda folder: f"table for {folder.name}"})
    text = "before\n<!-- generated: one -->\nold\n<!-- end: one -->\nafter"
    fresh = with_tables(text, Path("here"))
    assert fresh == "before\n<!-- generated: one -->\n\ntable for here\n\n<!-- end: one -->\nafter"
    assert with_tables(fresh, Path("here")) == fresh
    with pytest.raises(ValueError, match="one of the two is missing"):
        with_tables(text.replace("<!-- end: one -->", ""), Path("here"))


def test_a_notebook_without_a_card_is_named(tmp_path: Path) -> None:
    notebook = read(START_HERE)
    notebook.cells[0].source = "# 00 · Start here"
    write(tmp_path / "lost.ipynb", notebook)
    with pytest.raises(ValueError, match=r"lost\.ipynb.*Question"):
        read_card(tmp_path / "lost.ipynb")
