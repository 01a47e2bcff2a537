"""Probing in which the second rank dies or fails alone as it trains:  … -m tests.launch.failing_probe MOMENT OPTIONS …

MOMENT is killed, or fails, with an error that it cannot tell the first one, which waits for its share.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from torch import Tensor

from aimv2_lab.evaluation.probing import training
from aimv2_lab.launch import probe


def losses_or_end(*arguments: Any, losses: Any = training.grid_losses) -> Tensor:
    """The losses of a grid, on the first rank alone."""
    if os.environ.get("RANK") == "1":
        if moment == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise FloatingPointError("the second rank alone fails")
    found: Tensor = losses(*arguments)
    return found


if __name__ == "__main__":
    _, moment, *sys.argv[1:] = sys.argv
    vars(training)["grid_losses"] = losses_or_end
    probe.main()
