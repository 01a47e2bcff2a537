"""Notebooks broken on purpose: each fault is reported, and a sound one is not."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser

from tests.browser.controls import widget_problems
from tests.browser.lab import Lab
from tests.browser.opened import OpenNotebook, opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
PATIENCE = 4.0  # seconds for an answer that does not come
SETUP = """import ipywidgets
import matplotlib.pyplot as plt
from aimv2_lab.lessons.predictions import predict
from aimv2_lab.lessons.widgets import slider_figure

def draw(size, name="a", raised_at=9, deaf=False, error=ValueError):
    figure, axes = plt.subplots(figsize=(3, 1))
    if size > raised_at:
        raise error(f"size {size} is too large")
    axes.set_title("deaf" if deaf else f"{name} {size}")
    return figure"""
SOUND = [
    "slider_figure(draw, size=(1, 8, 2), name=['a', 'b', 'c'])",
    "guess = predict('Which?', ['one', 'two'])\nguess",
]


def write_notebook(path: Path, *sources: str) -> Path:
    """A notebook that has never been run."""
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [new_code_cell(source) for source in (SETUP, *sources)]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


def run(notebook: OpenNotebook) -> list[str]:
    """All problems of a notebook."""
    notebook.run_all()
    return [*notebook.problems(), *widget_problems(notebook, PATIENCE)]


def found(name: str, sources: list[str], chromium: Browser, lab: Lab, screenshots: Path) -> list[str]:
    """The problems found in a notebook of these cells."""
    path = write_notebook(lab.folder / "broken" / f"{name}.ipynb", *sources)
    with opened(chromium, lab, path, screenshots / "broken" / name) as notebook:
        return run(notebook)


def test_a_sound_notebook_has_no_problem(chromium: Browser, lab: Lab, screenshots: Path) -> None:
    assert found("sound", SOUND, chromium, lab, screenshots) == []
    kept = {path.name for path in (screenshots / "broken" / "sound").iterdir()}
    assert kept >= {"top.png", "cell1_0_size_0_before.png", "cell1_0_size_1_dragged_to_7.png"}, kept


def test_a_cell_that_raises_and_those_after_it(chromium: Browser, lab: Lab, screenshots: Path) -> None:
    problems = found("raising", ["1 / 0", "'never run'"], chromium, lab, screenshots)
    assert problems == [
        "cell 1 (1 / 0 …) raised ZeroDivisionError: division by zero",
        "cell 2 ('never run' …) did not run",
    ]


FAULTS = {
    "a slider without effect": ("slider_figure(draw, fixed={'deaf': True}, size=(1, 8, 2))", "changes nothing"),
    "a menu without effect": (
        "slider_figure(draw, fixed={'size': 1, 'deaf': True}, name=['a', 'b'])",
        "changes nothing",
    ),
    "buttons without answer": ("ipywidgets.ToggleButtons(options=['one', 'two'])", "pressed two changes nothing"),
    "a button too narrow": (
        "ipywidgets.ToggleButtons(options=['one', 'that nobody can read'], style={'button_width': '40px'})",
        "is cut",
    ),
    "an error in place of the picture": ("slider_figure(draw, fixed={'raised_at': 5}, size=(1, 8, 2))", "too large"),
    "an error from the start": ("slider_figure(draw, fixed={'raised_at': 1}, size=(1, 8, 2))", "size 2 is too large"),
    "an error that only the log shows": (
        "slider_figure(draw, fixed={'raised_at': 5, 'error': RuntimeError}, size=(1, 8, 2))",
        "RuntimeError: size 7 is too large",
    ),
    "a widget that no test knows": ("ipywidgets.VBox([ipywidgets.Text(), ipywidgets.IntSlider()])", "no test operates"),
    "a widget that is gone": ("field = ipywidgets.Text()\ndisplay(field)\nfield.close()", "is not shown"),
}


def test_every_fault_of_a_widget_is_reported(chromium: Browser, lab: Lab, screenshots: Path) -> None:
    cells = [cell for cell, _ in FAULTS.values()]
    problems = found("widgets", [*cells, *SOUND], chromium, lab, screenshots)
    for number, (fault, (_, expected)) in enumerate(FAULTS.items(), start=1):
        own = [problem for problem in problems if problem.startswith(f"cell {number} ")]
        assert any(expected in problem for problem in own), "\n".join([fault, *problems])
    assert not [problem for problem in problems if problem.startswith(f"cell {len(FAULTS) + 1} ")], "\n".join(problems)


def test_a_guess_is_answered_when_the_result_is_revealed(chromium: Browser, lab: Lab, screenshots: Path) -> None:
    cells = ["guess = predict('Which?', ['one', 'two'])\nguess", "guess.reveal('two')"]
    path = write_notebook(lab.folder / "guessing" / "guess.ipynb", *cells)
    with opened(chromium, lab, path, screenshots / "guess") as notebook:
        for number in (0, 1):
            notebook.run_cell(number)
        notebook.element(1).get_by_role("button", name="two", exact=True).click()
        notebook.settle()
        notebook.run_cell(2)
        assert "as you predicted" in notebook.element(2).inner_text()
        notebook.keep(notebook.element(2), "revealed")
    assert (path.parent / ".predictions.json").exists()
