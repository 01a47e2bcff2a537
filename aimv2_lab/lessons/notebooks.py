"""Execute the notebooks as they are committed: top to bottom in a fresh kernel, in fast mode, then cleaned.

    python -m aimv2_lab.lessons.notebooks execute                    all of notebooks/
    python -m aimv2_lab.lessons.notebooks execute notebooks/02*.ipynb
    python -m aimv2_lab.lessons.notebooks clean notebooks/02*.ipynb  only clean, outputs stay as they are
    python -m aimv2_lab.lessons.notebooks budget notebooks/02*.ipynb measure under the strict test, declare the budget
    python -m aimv2_lab.lessons.notebooks map                        write the tables of README and notebook 00

Needs the `dev` extra.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import nbformat
import tyro
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbstripout import strip_output

from aimv2_lab.lessons.budgets import ENVIRONMENT as ENVIRONMENT
from aimv2_lab.lessons.budgets import ROOT, declare, declared, run_strictly
from aimv2_lab.lessons.cards import NOTEBOOKS as NOTEBOOKS
from aimv2_lab.lessons.cards import all_notebooks, with_tables

START_HERE = NOTEBOOKS / "00_start_here.ipynb"
COMMAND = "python -m aimv2_lab.lessons.notebooks"
CELL_TIMEOUT = 120  # seconds

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PASSING_KEYS = (
    "metadata.language_info.version",
    "metadata.signature",
    "metadata.widgets",
    "cell.metadata.ExecuteTime",
    "cell.metadata.collapsed",
    "cell.metadata.execution",
    "cell.metadata.scrolled",
)

Paths = Annotated[tuple[Path, ...], tyro.conf.Positional]


def execute(paths: Paths = ()) -> None:
    """Execute notebooks in place; one whose cell raises is left as it was, and the exit status is 1."""
    failed = []
    for path in paths or all_notebooks():
        started = time.perf_counter()
        try:
            write(path, executed(read(path), path.resolve().parent))
        except CellExecutionError as error:
            failed.append(path)
            print(f"{path.name}: {error}", file=sys.stderr)
        else:
            missing = "" if declared(read(path)) else f"; it declares no budget, run: {COMMAND} budget {path}"
            print(f"{path.name}: {time.perf_counter() - started:.0f} s{missing}")
    if failed:
        sys.exit(1)


def clean(paths: Paths = ()) -> None:
    """Clean notebooks in place, as `execute` does at its end."""
    for path in paths or all_notebooks():
        write(path, cleaned(read(path)))


def budget(paths: Paths = ()) -> None:
    """Measure notebooks under the strict test and declare the rounded cost in their metadata.

    One that fails keeps its declaration, and the exit status is 1. Measure on an otherwise idle machine.
    """
    failed = []
    for path in paths or all_notebooks():
        measured = run_strictly(path.resolve())
        if not measured.passed:
            failed.append(path)
            print(f"{path.name}: {measured.output}", file=sys.stderr)
            continue
        notebook = read(path)
        declare(notebook, measured.rounded)
        write(path, notebook)
        print(f"{path.name}: {measured.seconds:.1f} CPU-s, {measured.peak_mib:.0f} MiB; declared {measured.rounded}")
    if failed:
        sys.exit(1)


def map_() -> None:
    """Write the generated tables into README.md and notebook 00."""
    readme = ROOT / "README.md"
    readme.write_text(with_tables(readme.read_text(), ROOT))
    notebook = read(START_HERE)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_tables(cell.source, NOTEBOOKS)
    write(START_HERE, notebook)


def executed(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """A cleaned copy of the notebook with fresh outputs; cells run with `folder` as working folder.

    Raises CellExecutionError when a cell raises.
    """
    fresh = copy.deepcopy(notebook)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        fresh, timeout=CELL_TIMEOUT, kernel_name="python3", resources=resources, coalesce_streams=True
    )
    client.execute(env={**os.environ, **ENVIRONMENT})
    return cleaned(fresh)


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """A copy without what differs from run to run: timing, widgets, ids, the kernel's Python version.

    Outputs stay, and execution counts too: without counts a strict test compares nothing. A widget keeps its text form
    only, because without a kernel its view is an error message.
    """
    fresh = strip_output(
        copy.deepcopy(notebook), keep_output=True, keep_count=True, keep_id=False, extra_keys=list(PASSING_KEYS)
    )
    for cell in fresh.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return fresh


def read(path: Path) -> NotebookNode:
    """Load a notebook file."""
    return nbformat.read(path, as_version=4)


def write(path: Path, notebook: NotebookNode) -> None:
    """Write a notebook file, replacing the old one only when the new one is complete."""
    partial = path.with_name(path.name + ".partial")
    nbformat.write(notebook, partial)
    partial.replace(path)


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"execute": execute, "clean": clean, "budget": budget, "map": map_})
