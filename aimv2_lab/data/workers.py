"""The processes that load batches: what they must be told before they begin, and how they hand a batch over."""

from __future__ import annotations

import os
import signal
from threading import Thread

from aimv2_lab.data.batch import Batch


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


def shared(batch: Batch, workers: int) -> Batch:
    """The same batch in shared memory, where a worker leaves it for the run; raises OSError where that is full.

    torch would put it there later, in a thread: there the error would end nothing, and the run would wait forever.
    """
    try:
        for tensor in batch.tensors():
            tensor.share_memory_()
    except RuntimeError as error:
        raise OSError(
            f"shared memory (/dev/shm) has no room for a batch of {batch.pictures.nbytes / 1e6:.1f} MB: {error}. It "
            f"must hold two for each of data.workers = {workers}, and one more: lower that, or give it more room"
        ) from error
    return batch


def _end_for_parent(parent: int) -> None:
    while True:
        if signal.sigwaitinfo({signal.SIGTERM}).si_pid == parent:
            os._exit(0)
