"""A loader's worker ends for the process it works for, and for no other's SIGTERM."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.synchronize import Event

import pytest

from aimv2_lab.data.workers import prepare_worker


def work(ready: Event) -> None:
    prepare_worker(0)
    ready.set()
    while True:
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="signals cannot be waited for here")
def test_only_the_process_it_works_for_ends_a_worker() -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    worker = context.Process(target=work, args=(ready,), daemon=True)
    worker.start()
    assert ready.wait(30) and worker.pid is not None
    subprocess.run([sys.executable, "-c", f"import os, signal; os.kill({worker.pid}, signal.SIGTERM)"], check=True)
    worker.join(0.5)
    assert worker.is_alive()
    os.kill(worker.pid, signal.SIGTERM)  # as multiprocessing does when its process ends
    worker.join(30)
    assert worker.exitcode == 0
