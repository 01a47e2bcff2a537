"""The notebooks say what the code does: executed as committed, and again under strict comparison of every output."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat import NotebookNode

from aimv2_lab.lessons.notebooks import ENVIRONMENT, NOTEBOOKS, cleaned, read

ROOT = NOTEBOOKS.parent
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
CPU_SECONDS = 120  # of one notebook: the budget of 60 and as much again for slower machines
CELL_LINES = 30
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|usr|opt|var|mnt)/|[A-Z]:\\\\|site-packages|ipykernel_\d")
IGNORED = "NBVAL_IGNORE_OUTPUT"

every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code" and cell.source.strip()]


def run_strictly(path: Path) -> subprocess.CompletedProcess[str]:
    """Execute a notebook in a fresh kernel and compare every output with the stored one."""
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "120", "-p", "no:cacheprovider", "-q"]
    sanitize = ["--nbval-sanitize-with", str(ROOT / "tests" / "sanitize.cfg")]
    command = [sys.executable, "-m", "pytest", *options, *sanitize, str(path)]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    environment.pop("MPLBACKEND", None)  # the kernel chooses its own, and draws into the notebook
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


@every_notebook
def test_strict_comparison_passes_within_the_budget(path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run_strictly(path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds <= CPU_SECONDS, f"{path.name} took {seconds:.0f} s of CPU time, twice the budget is {CPU_SECONDS} s"


@every_notebook
def test_committed_as_executed_and_cleaned(path: Path) -> None:
    """Counts 1, 2, 3 …: without them nothing would be compared."""
    assert [cell.execution_count for cell in code_cells(path)] == list(range(1, len(code_cells(path)) + 1))
    notebook = read(path)
    assert notebook == cleaned(notebook), f"run: python -m aimv2_lab.lessons.notebooks clean {path}"


@every_notebook
def test_cells_are_short(path: Path) -> None:
    long = {cell.id: len(cell.source.splitlines()) for cell in code_cells(path)}
    assert not {cell: lines for cell, lines in long.items() if lines > CELL_LINES}


@every_notebook
def test_nothing_is_stored_that_differs_between_machines(path: Path) -> None:
    for cell in code_cells(path):
        assert not [output for output in cell.outputs if output.output_type == "error"], cell.source
        assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.source
        for text in printed(cell):
            assert not MACHINE_PATH.search(text) and str(ROOT) not in text, f"{text!r} holds a path of one machine"


def printed(cell: NotebookNode) -> Iterator[str]:
    """Every text that a cell put out, in whatever form."""
    for output in cell.outputs:
        yield output.get("text", "")
        yield from (text for kind, text in output.get("data", {}).items() if kind.startswith("text/"))


@every_notebook
def test_only_one_cell_may_differ(path: Path) -> None:
    """One environment cell is not compared; no other check is switched off."""
    ignoring = [cell for cell in code_cells(path) if IGNORED in cell.source]
    assert len(ignoring) <= 1, [cell.source for cell in ignoring]
    skipping = re.compile(r"NBVAL_(SKIP|RAISES_EXCEPTION)|#\s*PYTEST_VALIDATE_IGNORE_OUTPUT")
    tags = [tag for cell in code_cells(path) for tag in cell.metadata.get("tags", [])]
    assert not [cell for cell in code_cells(path) if skipping.search(cell.source)]
    assert not {"nbval-skip", "nbval-ignore-output", "raises-exception"} & set(tags)
