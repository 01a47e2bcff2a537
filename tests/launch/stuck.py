"""Pre-training whose first rank waits for ever, as for its GPU:  … -m tests.launch.stuck STEP OPTIONS …"""

from __future__ import annotations

import ctypes
import sys
from functools import partial
from typing import Any

from aimv2_lab.launch import pretrain
from aimv2_lab.training import loop, lost_ranks, step
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.step import AnyStepResult


def wait_for_ever() -> None:
    """Lock what is locked, in C: no signal ends it, and Python's other threads go on."""
    lock, library = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)


def step_or_wait(train_step: Any, last: int, engine: Engine, *arguments: Any) -> AnyStepResult:
    """A training step; on the first rank none after the last."""
    if engine.steps_done == last and engine.ranks.is_first:
        wait_for_ever()
    result: AnyStepResult = train_step(engine, *arguments)
    return result


if __name__ == "__main__":
    _, last, *sys.argv[1:] = sys.argv
    lost_ranks.GRACE = 2.0
    vars(loop)["train_step"] = partial(step_or_wait, step.train_step, int(last))
    pretrain.main()
