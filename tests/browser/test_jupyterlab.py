"""Every notebook in JupyterLab, in a real browser: all cells run, every slider, menu and button does something."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser

from tests.browser.controls import widget_problems
from tests.browser.lab import Lab, running_lab
from tests.browser.opened import opened
from tests.notebook_files import FOLDER, PATHS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]  # cells have 600 s; a hanging page ends here


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_all_cells_run_and_all_widgets_answer(path: Path, chromium: Browser, lab: Lab, screenshots: Path) -> None:
    copy = lab.folder / "notebooks" / path.relative_to(FOLDER)
    with opened(chromium, lab, copy, screenshots / path.stem) as notebook:
        notebook.run_all()
        assert not notebook.problems()
        problems = list(widget_problems(notebook))
    assert not problems, "\n".join(problems)


def test_the_lab_leaves_no_process(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with running_lab(tmp_path, tmp_path / "settings", tmp_path / "lab.log") as lab:
        lab.ask("POST", "kernels")
        started = set(psutil.Process().children(recursive=True)) - before
        assert len(started) >= 2  # the server and a kernel
    assert not [process for process in started if process.is_running()]
    with pytest.raises(urllib.error.URLError):
        lab.ask("GET", "status")
