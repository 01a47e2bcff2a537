"""What was there before is left alone, what comes later is collected."""

from __future__ import annotations

import gc
import weakref

from aimv2_lab.training.run.garbage import quiet_garbage_collection


class Knot:
    """An object that only a garbage collector finds."""

    def __init__(self) -> None:
        self.me = self


def test_only_what_is_made_meanwhile_is_searched() -> None:
    old = Knot()
    early = weakref.ref(old)
    with quiet_garbage_collection():
        assert gc.get_freeze_count() > 0 and gc.isenabled()
        late = weakref.ref(Knot())
        del old
        gc.collect()
        assert early() is not None and late() is None
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert early() is None


def test_an_error_thaws_too() -> None:
    try:
        with quiet_garbage_collection():
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert gc.get_freeze_count() == 0
