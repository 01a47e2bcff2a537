"""Sliders, menus and toggle buttons on the page, each moved as a reader would, and what must follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import Locator

from tests.browser.opened import ANSWER_SECONDS, NOT_DRAWN, OpenNotebook, centre, title

SLIDER, MENU, BUTTONS = ".widget-hslider", ".widget-dropdown", ".widget-toggle-buttons"
SHOWN = f".jupyter-widgets, {BUTTONS}"  # toggle buttons do not carry the common class
# Anything else that can be operated is something these tests would pass over in silence.
OTHERS = f"""cell => [...cell.querySelectorAll(
    '.jupyter-widgets :is(input, select, textarea, button, [role=slider], [contenteditable=true])'
)].filter(e => !e.closest('{SLIDER}, {MENU}, {BUTTONS}')).map(e => e.closest('.jupyter-widgets').className)"""
# Buttons have one width; what is longer ends in dots.
CUT = """cell => [...cell.querySelectorAll('.jp-OutputArea button')].filter(e => e.scrollWidth > e.clientWidth + 1)
    .map(e => e.innerText)"""
# A picture that is replaced between being found and being read counts as not there yet.
PICTURES = """async cell => {
    const pictures = [...cell.querySelectorAll('.jp-OutputArea img')];
    if (!pictures.length || pictures.some(p => !p.complete || !p.naturalWidth)) return null;
    try {
        return (await Promise.all(pictures.map(async picture => {
            const bytes = await (await fetch(picture.src)).arrayBuffer();
            const digest = await crypto.subtle.digest('SHA-256', bytes);
            return [...new Uint8Array(digest)].map(byte => byte.toString(16).padStart(2, '0')).join('');
        }))).join(' ');
    } catch { return null; }
}"""
# The line between the controls and the picture of a `slider_figure`, empty unless drawing raised.
MESSAGES = """cell => [...cell.querySelectorAll('.widget-vbox')]
    .filter(box => box.querySelector(':scope > .widget-image'))
    .flatMap(box => [...box.querySelectorAll(':scope > .widget-label')])
    .map(label => label.innerText.trim()).filter(Boolean)"""


def widget_problems(notebook: OpenNotebook, patience: float = ANSWER_SECONDS) -> Iterator[str]:
    """Operate every widget of every cell; tell what is not shown, shows an error or does not answer.

    `patience` is how many seconds an answer may take.
    """
    for cell in filter(lambda cell: cell["widget"], notebook.cells()):
        for problem in cell_problems(notebook, cell, patience):
            yield f"{title(cell)}: {problem}"


def cell_problems(notebook: OpenNotebook, cell: dict[str, Any], patience: float) -> Iterator[str]:
    """The problems of one cell's widgets."""
    element = notebook.element(cell["number"])
    area = element.locator(".jp-Cell-outputArea")
    if not waited(lambda: area.locator(SHOWN).count() > 0 and not NOT_DRAWN.search(area.inner_text()), 30):
        yield f"a widget is not shown: {area.inner_text()[:200]!r}"
        return
    yield from (f"no test operates {other!r}" for other in element.evaluate(OTHERS))
    yield from (f"the text of button {text!r} is cut" for text in element.evaluate(CUT))
    controls = area.locator(f"{SLIDER}, {MENU}, {BUTTONS}")
    if not controls.count():
        yield "there is nothing to operate"
    yield from shown_errors(notebook, element)
    for position in range(controls.count()):
        yield from operate(notebook, element, controls.nth(position), position, patience)


def operate(notebook: OpenNotebook, cell: Locator, control: Locator, position: int, patience: float) -> Iterator[str]:
    """Move one control through its positions, with a screenshot before and after each."""
    label = control.locator("label.widget-label")
    name = (label.first.inner_text() if label.count() else "") or "choice"
    observe = seen_text if is_a(control, BUTTONS) else seen_pictures
    kept = f"cell{cell.get_attribute('data-number')}_{position}_{name}"
    notebook.keep(cell, f"{kept}_0_before")
    for step, move in enumerate(moves(control), start=1):
        notebook.settle()
        if not waited(lambda: observe(cell) is not None, patience):
            yield f"{name}: there is no picture"
        before = observe(cell)
        done = move()
        if not waited(lambda old=before: observe(cell) not in (None, old), patience):  # type: ignore[misc]
            yield f"{name}: {done} changes nothing in the cell"
        notebook.settle()
        notebook.keep(cell, f"{kept}_{step}_{done}")
        yield from (f"{name}: {done}: {error}" for error in shown_errors(notebook, cell))


def moves(control: Locator) -> list[Callable[[], str]]:
    """What can be done to a control; each move tells what it did."""
    if is_a(control, SLIDER):
        return [lambda: drag(control)]
    if is_a(control, MENU):
        menu = control.locator("select")
        chosen = menu.evaluate("e => e.selectedIndex")
        others = [index for index in range(menu.locator("option").count()) if index != chosen]
        return [lambda index=index: choose(menu, index) for index in others]  # type: ignore[misc]
    free = control.locator("button:not(.mod-active)").all_inner_texts()
    return [lambda text=text: press(control, text) for text in free]  # type: ignore[misc]


def drag(slider: Locator) -> str:
    """Drag the handle by the mouse to the other side of its track, in small steps."""
    centre(slider)
    handle, track = slider.locator(".noUi-handle").bounding_box(), slider.locator(".noUi-base").bounding_box()
    assert handle and track, "the slider is not on the page"
    start = handle["x"] + handle["width"] / 2
    share = 0.15 if start > track["x"] + track["width"] / 2 else 0.85
    height, mouse = handle["y"] + handle["height"] / 2, slider.page.mouse
    mouse.move(start, height)
    mouse.down()
    mouse.move(track["x"] + track["width"] * share, height, steps=12)
    mouse.up()
    return f"dragged to {slider.locator('.widget-readout').inner_text()}"


def choose(menu: Locator, index: int) -> str:
    """Choose a menu's entry."""
    menu.select_option(index=index)
    return f"chosen {menu.locator('option').nth(index).inner_text()}"


def press(buttons: Locator, text: str) -> str:
    """Press one of several buttons."""
    buttons.get_by_role("button", name=text, exact=True).click()
    return f"pressed {text}"


def shown_errors(notebook: OpenNotebook, cell: Locator) -> list[str]:
    """Messages in place of pictures, widgets that cannot be drawn, and errors of callbacks."""
    broken = ["a widget shows an error"] if NOT_DRAWN.search(cell.inner_text()) else []
    return [*cell.evaluate(MESSAGES), *broken, *notebook.callback_errors()]


def seen_text(cell: Locator) -> str:
    """What the cell's widgets say."""
    return cell.locator(".jp-Cell-outputArea").inner_text()


def seen_pictures(cell: Locator) -> str | None:
    """Digest of the bytes of the pictures below the cell; None while one is missing."""
    return cell.evaluate(PICTURES)


def is_a(control: Locator, selector: str) -> bool:
    """Whether the control is of that kind."""
    return bool(control.evaluate("(e, selector) => e.matches(selector)", selector))


def waited(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
