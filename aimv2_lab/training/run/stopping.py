"""Being told to stop: a scheduler sends SIGTERM some time before it takes the machine away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

STOPPED = 75  # exit status of a run that was told to stop and can go on: "temporary failure" of sysexits.h


class Preempted(RuntimeError):
    """The run was told to stop and has saved where it stands, in `checkpoint`."""

    def __init__(self, step: int, checkpoint: Path) -> None:
        super().__init__(f"told to stop by SIGTERM; step {step} is saved in {checkpoint}. Go on with --resume")


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM has come since; it ends nothing by itself meanwhile.

    Python hands signals to the main thread alone: in any other the answer is no.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)
