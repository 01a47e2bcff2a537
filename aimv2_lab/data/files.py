"""Small helpers for files: what a folder shows, and writing whole files or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

WRITING = "writing-"


def visible_files(path: Path) -> list[Path]:
    """What lies under a folder, at any depth and in order, or the file that `path` is; without hidden names."""
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)]


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """A name to write a file under, which becomes `target` at the end, or goes where the body raises.

    Whoever is killed in between leaves no half `target`, and two who write at once do not mix.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{WRITING}{uuid4().hex[:8]}-{target.name}")
    try:
        yield aside
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
