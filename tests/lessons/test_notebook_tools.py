"""Executing and cleaning a notebook keeps what is compared and drops what passes; a stale lesson is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from aimv2_lab.lessons.notebooks import WIDGET_VIEW, cleaned, execute, executed, read, write
from tests.test_notebooks import run_strictly

SHOWING = "from aimv2_lab.lessons.show import show\nshow('aimv2_lab.model.patches.TARGET_EPS')"


def notebook_of(*sources: str) -> NotebookNode:
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return new_notebook(cells=[new_code_cell(source) for source in sources], metadata=metadata)


@pytest.fixture(scope="module")
def done() -> NotebookNode:
    widget = "import ipywidgets\nipywidgets.IntSlider()"
    environment = "import os\nprint(os.environ['AIMV2_LAB_FAST'], os.environ['OMP_NUM_THREADS'])"
    return executed(notebook_of(SHOWING, widget, environment), Path())


def test_executed_in_fast_mode_with_counts_and_outputs(done: NotebookNode) -> None:
    assert [cell.execution_count for cell in done.cells] == [1, 2, 3]
    assert done.cells[2].outputs[0].text == "1 1\n"
    assert "TARGET_EPS" in done.cells[0].outputs[0].data["text/markdown"]


def test_what_differs_from_run_to_run_is_gone(done: NotebookNode) -> None:
    assert [cell.id for cell in done.cells] == ["0", "1", "2"]
    assert "widgets" not in done.metadata and "version" not in done.metadata.language_info
    assert all("execution" not in cell.metadata for cell in done.cells)
    data = done.cells[1].outputs[0].data
    assert WIDGET_VIEW not in data and data["text/plain"].startswith("IntSlider")
    assert cleaned(done) == done


def test_a_lesson_whose_source_has_changed_fails(done: NotebookNode, tmp_path: Path) -> None:
    """The stored text stands for the old source: current passes, stale fails, and only in the cell that shows it."""
    write(tmp_path / "lesson.ipynb", done)
    current = run_strictly(tmp_path / "lesson.ipynb")
    assert "3 passed" in current.stdout, current.stdout
    data = done.cells[0].outputs[0].data
    data["text/markdown"] = data["text/markdown"].replace("1e-6", "1e-5")
    write(tmp_path / "lesson.ipynb", done)
    stale = run_strictly(tmp_path / "lesson.ipynb")
    assert "1 failed, 2 passed" in stale.stdout, stale.stdout


def test_a_notebook_that_raises_is_left_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.ipynb"
    write(path, notebook_of("1 / 0"))
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        execute((path,))
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(CellExecutionError):
        executed(read(path), tmp_path)
