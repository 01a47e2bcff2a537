"""One Chromium and one JupyterLab for all tests of this folder, and a folder for their screenshots.

AIMV2_LAB_CHROMIUM names the browser's executable where it is not found on PATH; AIMV2_LAB_SCREENSHOTS names the folder
of the screenshots, runs/browser by default.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from aimv2_lab.lessons.notebooks import NOTEBOOKS
from tests.browser.lab import ROOT, Lab, running_lab

PRIVATE = shutil.ignore_patterns(".ipynb_checkpoints", ".predictions.json", "*.partial")
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no network
]


def find_chromium() -> str | None:
    """The browser's executable, or None; raises FileNotFoundError when the named one is not there."""
    named = os.environ.get("AIMV2_LAB_CHROMIUM")
    if named and shutil.which(named) is None:
        raise FileNotFoundError(f"AIMV2_LAB_CHROMIUM={named} is no program; name Chromium's executable or unset it")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session", autouse=True)
def ended_as_by_the_keyboard() -> None:
    """A SIGTERM, as from `timeout`, ends browser and JupyterLab too; by default it would leave them running."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; tests are skipped without one."""
    executable = find_chromium()
    if executable is None:
        pytest.skip(f"none of {', '.join(NAMES)} on PATH: apt-get install chromium, or set AIMV2_LAB_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """The folder of the screenshots."""
    folder = Path(os.environ.get("AIMV2_LAB_SCREENSHOTS", ROOT / "runs" / "browser"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lab(chromium: Browser, screenshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a copy of notebooks/, which may save without changing the repository."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, folder / "notebooks", ignore=PRIVATE)
    with running_lab(folder, tmp_path_factory.mktemp("settings"), screenshots / "lab.log") as server:
        yield server
