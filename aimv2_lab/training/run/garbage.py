"""Python's garbage collector kept from searching a run's model and data again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_garbage_collection() -> Iterator[None]:
    """What lives now is not searched for garbage meanwhile; what is made meanwhile is.

    To be entered when model, optimizer and data are there and a step has warmed up: a full search of them takes as long
    as some steps of a small model, and comes at any moment.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
