"""The processes that load batches: what they must be told before they begin."""

from __future__ import annotations

import os
import signal
from threading import Thread


def prepare_worker(_worker: int) -> None:
    """Let a loader's worker end when its own process says so, and not for what a scheduler says to the whole job.

    A scheduler that ends a job sends SIGTERM to all its processes. The run is then saved; a worker's death would be
    raised in the middle of that. But the process that a worker works for ends it by the same signal, and waits for it:
    only the sender tells the two apart. (Where signals cannot be waited for, as on macOS, any sender ends it.)
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # tokenizers warn of threads before a fork, and none are needed here
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=_end_for_parent, args=(os.getppid(),), daemon=True).start()


def _end_for_parent(parent: int) -> None:
    while True:
        if signal.sigwaitinfo({signal.SIGTERM}).si_pid == parent:
            os._exit(0)
