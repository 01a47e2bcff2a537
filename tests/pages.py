"""What a page holds: its code blocks by language, and a snippet run as a reader would run it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any


def fenced(page: str, language: str) -> list[str]:
    """The fenced code blocks of one language in a page's text."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    return [body for name, body in found if name == language]


def run_snippet(code: str, folder: Path) -> dict[str, Any]:
    """Run code as a file in a folder; what it has defined."""
    (folder / "snippet.py").write_text(code)
    return runpy.run_path(str(folder / "snippet.py"))
