"""Notebooks show everything without a kernel too: on GitHub, and as plain HTML."""

from __future__ import annotations

import ast
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from aimv2_lab.lessons.notebooks import read
from tests.notebook_files import PATHS

SHOWN_BY_GITHUB = {"image/jpeg", "image/png", "image/svg+xml", "text/html", "text/latex", "text/markdown", "text/plain"}
BROKEN_WIDGET = re.compile(r"Error displaying widget|Loading widget|jupyter\.widget-view", re.IGNORECASE)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)|(?:src|href)\s*=\s*[\"']([^\"']+)")
NOT_PROSE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)

every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def outputs(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Every stored output."""
    return (output for cell in notebook.cells for output in cell.get("outputs", []))


def stored_pictures(notebook: NotebookNode) -> int:
    """How many PNGs the outputs hold."""
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def as_html(path: Path) -> str:
    """What `jupyter nbconvert --to html` writes."""
    return str(HTMLExporter().from_filename(str(path))[0])


def calls(cell: NotebookNode, name: str) -> list[ast.Call]:
    """The calls of a function in a cell; none where the cell is not plain Python."""
    if cell.cell_type != "code" or f"{name}(" not in cell.source:
        return []
    found = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    return [call for call in found if ast.unparse(call.func) == name]


def sliders_without_twin(notebook: NotebookNode) -> list[str]:
    """The `slider_figure` calls whose next cell does not call the same draw function and store a PNG."""
    lacking = []
    for cell, twin in zip(notebook.cells, [*notebook.cells[1:], NotebookNode(cell_type="none")], strict=True):
        for slider in calls(cell, "slider_figure"):
            draw = ast.unparse(slider.args[0])
            kinds = [kind for output in twin.get("outputs", []) for kind in output.get("data", {})]
            if not calls(twin, draw) or "image/png" not in kinds:
                lacking.append(ast.unparse(slider))
    return lacking


def lost_links(notebook: NotebookNode, folder: Path) -> list[str]:
    """Relative links and pictures of the prose that lead to no file."""
    prose = (NOT_PROSE.sub("", cell.source) for cell in notebook.cells if cell.cell_type == "markdown")
    targets = (first or second for text in prose for first, second in LINK.findall(text))
    relative = [target for target in targets if not re.match(r"[a-z]+:|#", target)]
    return [target for target in relative if not (folder / urllib.parse.unquote(target.split("#")[0])).exists()]


@every_notebook
def test_holds_only_what_github_shows(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata, "widget state; clean the notebook"
    kinds = {kind for output in outputs(notebook) for kind in output.get("data", {})}
    assert kinds <= SHOWN_BY_GITHUB, kinds - SHOWN_BY_GITHUB
    assert not [output for output in outputs(notebook) if "<script" in output.get("data", {}).get("text/html", "")]


@every_notebook
def test_plain_html_holds_every_picture_and_no_broken_widget(path: Path) -> None:
    page = as_html(path)
    assert page.count('src="data:image/png;base64,') == stored_pictures(read(path)) > 0
    assert not BROKEN_WIDGET.search(page)


@every_notebook
def test_every_slider_has_a_still_twin(path: Path) -> None:
    assert sliders_without_twin(read(path)) == []


@every_notebook
def test_every_slider_and_question_has_a_text_form(path: Path) -> None:
    """Readers without a kernel see that there is something to run, in place of an empty cell."""
    for cell in read(path).cells:
        if calls(cell, "slider_figure") or calls(cell, "predict"):
            texts = [output.get("data", {}).get("text/plain", "") for output in cell.outputs]
            assert any(text.startswith("[run this cell to ") for text in texts), cell.source


@every_notebook
def test_links_of_the_prose_lead_somewhere(path: Path) -> None:
    assert lost_links(read(path), path.parent) == []


def test_a_slider_without_a_twin_and_a_lost_link_are_noticed(tmp_path: Path) -> None:
    code, prose = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    picture = nbformat.v4.new_output("display_data", {"image/png": ""})
    slider = code("slider_figure(figures.draw, size=(1, 8, 2))")
    assert not sliders_without_twin(NotebookNode(cells=[slider, code("figures.draw(size=2)", outputs=[picture])]))
    for twin in (code("figures.draw(size=2)"), code("other.draw(size=2)", outputs=[picture]), prose("draw(2)")):
        assert sliders_without_twin(NotebookNode(cells=[slider, twin])) == [
            "slider_figure(figures.draw, size=(1, 8, 2))"
        ]
    assert sliders_without_twin(NotebookNode(cells=[slider]))
    (tmp_path / "there.md").touch()
    links = "[a](there.md#part) ![b](gone.png) <img src='lost.png'> [c](https://d.org) `[e](f)` [g](#h)"
    assert lost_links(NotebookNode(cells=[prose(links)]), tmp_path) == ["gone.png", "lost.png"]
