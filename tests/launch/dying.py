"""Pre-training whose first rank kills itself in the middle of a save:  … -m tests.launch.dying MOMENT STEP OPTIONS …

MOMENT is optimizer, when the weights are written and the optimizer's state is not, or commit, before the rename.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from aimv2_lab.data import files
from aimv2_lab.launch import pretrain
from aimv2_lab.training.run import checkpoint

FUNCTIONS: dict[str, tuple[ModuleType, str]] = {"optimizer": (checkpoint, "save_file"), "commit": (files, "_flush")}


def die_or(write: Callable[..., object], step: str, *arguments: Any) -> object:
    """Write, unless what is written belongs to the checkpoint of that step."""
    place = next(argument for argument in arguments if isinstance(argument, Path))
    if f"step-{int(step):08d}" in str(place):
        os.kill(os.getpid(), signal.SIGKILL)
    return write(*arguments)


if __name__ == "__main__":
    _, moment, step, *sys.argv[1:] = sys.argv
    module, name = FUNCTIONS[moment]
    setattr(module, name, partial(die_or, getattr(module, name), step))
    pretrain.main()
