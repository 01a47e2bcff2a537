"""Executing and cleaning a notebook keeps what is compared and drops what passes; a stale lesson is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from aimv2_lab.lessons.budgets import Budget, Measured, declare, declared, run_strictly
from aimv2_lab.lessons.notebooks import WIDGET_VIEW, budget, cleaned, execute, executed, read, write

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
    assert "3 passed" in current.output, current.output
    data = done.cells[0].outputs[0].data
    data["text/markdown"] = data["text/markdown"].replace("1e-6", "1e-5")
    write(tmp_path / "lesson.ipynb", done)
    stale = run_strictly(tmp_path / "lesson.ipynb")
    assert "1 failed, 2 passed" in stale.output, stale.output


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


def test_time_and_memory_of_the_kernel_are_measured(tmp_path: Path) -> None:
    """The kernel is a grandchild; what the measuring process itself holds does not count."""
    ours = bytearray(900 * 2**20)
    idle, busy = tmp_path / "idle.ipynb", tmp_path / "busy.ipynb"
    write(idle, executed(notebook_of("1"), tmp_path))
    work = "import time\nheld = bytearray(300 * 2**20)\nwhile time.process_time() < 4:\n    pass"
    write(busy, executed(notebook_of(work), tmp_path))
    little, much = run_strictly(idle), run_strictly(busy)
    assert little.passed and much.passed and ours[0] == 0
    assert little.peak_mib + 200 < much.peak_mib < 900
    assert little.seconds + 2 < much.seconds < little.seconds + 20


def test_a_budget_is_rounded_up_declared_and_kept(tmp_path: Path) -> None:
    assert Measured(10.01, 399.0, True, "").rounded == Budget(15, 400)
    notebook = notebook_of("1")
    assert declared(notebook) is None
    declare(notebook, Budget(15, 400))
    assert declared(cleaned(notebook)) == Budget(15, 400)
    notebook.metadata["aimv2_lab"] = {"seconds": 1.5, "peak_mib": 400}
    with pytest.raises(ValueError, match=r"1\.5.*positive whole numbers"):
        declared(notebook)


def test_the_command_declares_what_it_measured_unless_the_notebook_fails(tmp_path: Path) -> None:
    good, stale = tmp_path / "good.ipynb", tmp_path / "stale.ipynb"
    done = executed(notebook_of("1 + 1"), tmp_path)
    write(good, done)
    done.cells[0].outputs[0].data["text/plain"] = "3"
    write(stale, done)
    before = stale.read_bytes()
    with pytest.raises(SystemExit):
        budget((stale, good))
    assert stale.read_bytes() == before
    written = declared(read(good))
    assert written and written.seconds % 5 == 0 and written.peak_mib % 100 == 0
