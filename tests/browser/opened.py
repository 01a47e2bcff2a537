"""A notebook opened in JupyterLab: its cells run, what they show looked at."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, ViewportSize

from tests.browser.lab import Lab

OPEN_SECONDS = 120
RUN_SECONDS = 600  # for all cells of a notebook
ANSWER_SECONDS = 90  # for a widget's answer, on a busy machine
WINDOW = ViewportSize(width=1280, height=1000)
NOT_DRAWN = re.compile(r"Error (displaying|creating|rendering) widget|Loading widget", re.IGNORECASE)

# The kernel looks idle before it is connected, and cells run then are lost; so its first answer is awaited.
CONNECT = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    const kernel = panel.sessionContext.session.kernel;
    await kernel.info;
    window.callbackErrors = [];
    kernel.iopubMessage.connect((_, message) => {
        if (message.header.msg_type === 'error' && message.parent_header.msg_type.startsWith('comm'))
            window.callbackErrors.push(`${message.content.ename}: ${message.content.evalue}`);
    });
}"""
# Stored counts and outputs go, so that all that is seen later was made here.
CLEAR = "() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
# Every code cell, from the page's model, with the cell's element marked by its number.
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.flatMap((widget, number) => {
    const cell = widget.model;
    const source = cell.sharedModel.getSource();
    if (cell.type !== 'code' || !source.trim()) return [];
    widget.node.dataset.number = number;
    const outputs = Array.from({length: cell.outputs.length}, (_, i) => cell.outputs.get(i));
    return [{
        number, source,
        ran: cell.executionCount !== null && cell.executionState !== 'running',
        errors: outputs.filter(o => o.type === 'error').map(o => `${o.toJSON().ename}: ${o.toJSON().evalue}`),
        widget: outputs.some(o => o.data && 'application/vnd.jupyter.widget-view+json' in o.data),
    }];
})"""
KERNEL = "() => window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status ?? 'gone'"
# JupyterLab runs no more cells after one that raises.
FINISHED = f"""() => {{
    const kernel = ({KERNEL})(), cells = ({CELLS})();
    return ['gone', 'dead', 'restarting', 'autorestarting'].includes(kernel)
        || (kernel === 'idle' && (cells.every(c => c.ran) || cells.some(c => c.errors.length > 0)));
}}"""


@contextmanager
def opened(chromium: Browser, lab: Lab, path: Path, screenshots: Path) -> Iterator[OpenNotebook]:
    """The notebook in a page of its own, its kernel connected; the kernel ends with the page."""
    shutil.rmtree(screenshots, ignore_errors=True)
    screenshots.mkdir(parents=True)
    page = chromium.new_page(viewport=WINDOW)
    page.set_default_timeout(OPEN_SECONDS * 1000)
    try:
        page.goto(lab.page(path))
        page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-Cell")
        page.evaluate(CONNECT)
        yield OpenNotebook(page, screenshots)
    finally:
        page.close()
        lab.end_kernels()


class OpenNotebook:
    """What the tests do with a notebook's page, and where its screenshots go."""

    def __init__(self, page: Page, screenshots: Path) -> None:
        self.page = page
        self.screenshots = screenshots

    def run_all(self) -> None:
        """Choose Run > Run All Cells and wait until all have run or one has raised."""
        self.page.screenshot(path=self.screenshots / "top.png")
        self.page.evaluate(CLEAR)
        self.page.click(".lm-MenuBar-itemLabel:text-is('Run')")
        self.page.click("li[data-command='runmenu:run-all']")
        self.page.wait_for_function(FINISHED, timeout=RUN_SECONDS * 1000, polling=500)

    def run_cell(self, number: int) -> None:
        """Run one cell and wait for its end."""
        self.page.evaluate(f"window.jupyterapp.shell.currentWidget.content.activeCellIndex = {number}")
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
        self.settle()

    def cells(self) -> list[dict[str, Any]]:
        """Every code cell: number, source, whether it ran, errors, whether it shows a widget."""
        return list(self.page.evaluate(CELLS))

    def element(self, number: int) -> Locator:
        """A cell on the page, scrolled to the middle."""
        self.cells()  # marks the elements
        element = self.page.locator(f"[data-number='{number}']")
        centre(element)
        return element

    def settle(self) -> None:
        """Wait until the kernel has nothing left to do."""
        self.page.wait_for_timeout(100)  # for what was just clicked to reach the kernel
        self.page.wait_for_function(f"() => ({KERNEL})() === 'idle'", timeout=ANSWER_SECONDS * 1000, polling=100)

    def keep(self, element: Locator, name: str) -> None:
        """A screenshot of an element."""
        plain = re.sub(r"[^\w.-]+", "_", name)
        element.screenshot(path=self.screenshots / f"{plain}.png")

    def problems(self) -> list[str]:
        """What went wrong in running the cells: cells that raised or did not run, and a kernel that is gone."""
        found = [f"{title(cell)} raised {error}" for cell in self.cells() for error in cell["errors"]]
        found += [f"{title(cell)} did not run" for cell in self.cells() if not cell["ran"]]
        status = self.page.evaluate(KERNEL)
        return found if status == "idle" else [*found, f"the kernel is {status}"]

    def callback_errors(self) -> list[str]:
        """Errors of widgets' callbacks since the last call; JupyterLab shows them only in its log."""
        return list(self.page.evaluate("() => window.callbackErrors.splice(0)"))


def title(cell: dict[str, Any]) -> str:
    """A cell's number and how it begins."""
    code = [line for line in cell["source"].splitlines() if not line.startswith("#")]
    return f"cell {cell['number']} ({(code or [''])[0][:50]} …)"


def centre(element: Locator) -> None:
    """Scroll an element to the middle, and wait until it stays there: cells far away get their height when near."""
    element.wait_for()
    place: Any = None
    for _ in range(50):
        before, place = place, element.bounding_box()
        if before == place:
            return
        element.evaluate("e => e.scrollIntoView({block: e.offsetHeight < innerHeight / 2 ? 'center' : 'start'})")
        element.page.wait_for_timeout(200)
    raise AssertionError(f"the page does not come to rest around {element}")
