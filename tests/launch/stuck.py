"""Pre-training in which one rank waits for ever, as for its GPU:  … -m tests.launch.stuck MOMENT STEP OPTIONS …

MOMENT is step, where the first rank waits before the step after STEP, or exit, where the second fails there and waits
on its way out, and the first in its step.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
from functools import partial
from typing import Any

from aimv2_lab.launch import pretrain
from aimv2_lab.training import loop, lost_ranks, step
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.step import AnyStepResult


def wait_for_ever() -> None:
    """Lock what is locked, in C: Python answers no signal, and its other threads go on."""
    lock, library = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)


def step_or_wait(train_step: Any, moment: str, last: int, engine: Engine, *arguments: Any) -> AnyStepResult:
    """A training step, but not after the last."""
    if engine.steps_done == last and engine.ranks.is_first:
        wait_for_ever()
    if engine.steps_done == last and moment == "exit":
        atexit.register(wait_for_ever)
        raise FloatingPointError("the second rank alone fails")
    result: AnyStepResult = train_step(engine, *arguments)
    return result


if __name__ == "__main__":
    _, moment, last, *sys.argv[1:] = sys.argv
    lost_ranks.GRACE = 2.0
    vars(loop)["train_step"] = partial(step_or_wait, step.train_step, moment, int(last))
    pretrain.main()
