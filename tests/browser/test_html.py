"""A notebook as plain HTML, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from aimv2_lab.lessons.notebooks import read
from tests.notebook_files import FOLDER
from tests.test_rendering import as_html, stored_pictures

pytestmark = pytest.mark.browser


def shown_pictures(html: str, chromium: Browser, screenshot: Path) -> list[bool]:
    """For each picture of the page whether it was decoded and takes up room."""
    page = chromium.new_page()
    try:
        page.set_content(html, wait_until="domcontentloaded")  # not "load": scripts of other hosts never come
        page.wait_for_function("() => [...document.images].every(image => image.complete)")
        page.screenshot(path=screenshot)
        sizes = page.evaluate("() => [...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    finally:
        page.close()
    return [natural > 0 and width > 0 for natural, width in sizes]


def test_every_picture_of_a_plain_page_is_shown(chromium: Browser, screenshots: Path) -> None:
    path = next(FOLDER.glob("03_*.ipynb"))
    html = as_html(path)
    assert shown_pictures(html, chromium, screenshots / "plain.png") == [True] * stored_pictures(read(path))
    torn = html.replace('src="data:image/png;base64,iVBOR', 'src="data:image/png;base64,AAAAA', 1)
    assert shown_pictures(torn, chromium, screenshots / "torn.png").count(False) == 1
