"""The notebooks' own cards and budgets, and the tables of README and notebook 00 that are generated from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from aimv2_lab.lessons.budgets import ROOT, Budget, declared
from aimv2_lab.report.boxes import BOXES

NOTEBOOKS = ROOT / "notebooks"
EXERCISES = NOTEBOOKS / "exercises"

# Notebooks to come: number and title. A row is dropped here when its notebook exists.
PLANNED: dict[str, str] = {
    "12": "Higher and native resolution",
}

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_QUESTION = re.compile(r"^(?:\| \*\*Question\*\* \| (.+?) \||\*\*The question\.\*\* (.+))$", re.MULTILINE)
_MINUTES = re.compile(r"^\|\s*\*\*(?:Minutes|Read / run)\*\*\s*\|\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Card:
    """What a notebook says of itself; `number` is "00" … or empty for those outside the sequence."""

    path: Path
    number: str
    title: str
    question: str
    minutes: int
    budget: Budget | None


def all_notebooks() -> list[Path]:
    """The numbered notebooks in order, then those of the exercises."""
    return sorted(NOTEBOOKS.glob("*.ipynb")) + sorted(EXERCISES.glob("*.ipynb"))


def read_card(path: Path) -> Card:
    """The card in a notebook's first cell. Raises ValueError when its title, question or minutes are missing."""
    notebook = nbformat.read(path, as_version=4)
    text = notebook.cells[0].source if notebook.cells else ""
    title, question, minutes = _TITLE.search(text), _QUESTION.search(text), _MINUTES.search(text)
    if not (title and question and minutes):
        raise ValueError(
            f"{path.name}: its first cell must hold '# title', a row '| **Question** | … |' and a row "
            "'| **Minutes** | 30 to read, … |'"
        )
    number, _, name = title[1].rpartition(" · ")
    return Card(path, number, name, question[1] or question[2], int(minutes[1]), declared(notebook))


def notebook_table(folder: Path) -> str:
    """Every notebook, as Markdown with links from `folder`, and those to come in a line below."""
    rows = ["| | notebook | question | read | run (one core) |", "| --- | --- | --- | --- | --- |"]
    for card in map(read_card, all_notebooks()):
        run = f"{card.budget.seconds} s" if card.budget else "not measured"
        link = f"[{card.title}]({link_from(folder, card.path)})"
        rows.append(f"| {card.number} | {link} | {card.question} | {card.minutes} min | {run} |")
    numbers = {path.name[:2] for path in all_notebooks()}
    coming = [f"{number} {title}" for number, title in PLANNED.items() if number not in numbers]
    return "\n".join(rows) + (f"\n\nStill to come: {', '.join(coming)}." if coming else "")


def system_table(folder: Path) -> str:
    """The boxes of the system's picture: what happens in each, where it is taught, where it is written."""
    rows = ["| box | what happens | notebook | code |", "| --- | --- | --- | --- |"]
    stems = {path.name[:2]: path for path in all_notebooks()}
    for box in BOXES:
        lesson = stems.get(box.notebook)
        taught = f"[{box.notebook}]({link_from(folder, lesson)})" if lesson else f"{box.notebook}, to come"
        code = f"[{box.file}]({link_from(folder, ROOT / box.file)})"
        rows.append(f"| {box.name} | {box.happens} | {taught} | {code} |")
    return "\n".join(rows)


def link_from(folder: Path, target: Path) -> str:
    """The relative link, with forward slashes, from a page in `folder` to a file of the repository."""
    ups = len(folder.relative_to(ROOT).parts)
    if target.is_relative_to(folder):
        return target.relative_to(folder).as_posix()
    return "../" * ups + target.relative_to(ROOT).as_posix()


TABLES = {"notebooks": notebook_table, "system": system_table}


def with_tables(text: str, folder: Path) -> str:
    """The Markdown text with every generated table up to date, between its pair of HTML comments.

    Raises ValueError for a comment without its partner.
    """
    for name, table in TABLES.items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        if (start in text) != (end in text):
            raise ValueError(f"{start} … {end}: one of the two is missing")
        before, found, rest = text.partition(start)
        if found:
            text = f"{before}{start}\n\n{table(folder)}\n\n{end}{rest.partition(end)[2]}"
    return text
