"""Processor time of work that is interrupted and goes on in another process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def seconds_spent(file: Path) -> Iterator[Callable[[], float]]:
    """Asked for, the processor seconds since here, and those before that were interrupted and left in the file.

    Where the body raises they are added up there, if its folder exists, for whoever goes on; where it does not, the
    file is removed. A process that is killed leaves what was there.
    """
    before, started = float(file.read_text()) if file.exists() else 0.0, time.process_time()

    def so_far() -> float:
        return before + time.process_time() - started

    try:
        yield so_far
    except BaseException:
        if file.parent.exists():
            file.write_text(f"{so_far()}\n")
        raise
    file.unlink(missing_ok=True)
