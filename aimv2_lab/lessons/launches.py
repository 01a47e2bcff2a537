"""Launches from inside a notebook: quiet, ended with all their processes, and with no network port to choose."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

PATIENCE = 110  # seconds that one launch may take; on idle cores it takes less than 15


def torchrun(module: str, *arguments: object, ranks: int = 2) -> list[str]:
    """The command that runs a module on several ranks of this machine; it finds a free port by itself.

    Behind `--` the options are the module's: torchrun would take --run for one of its own.
    """
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
    return [*launcher, "-m", "--", module, *map(str, arguments)]


def options(fields: Mapping[str, Any]) -> list[str]:
    """Recipe fields by dotted path as options of a launch: {"training.steps": 9} -> --training.steps 9."""
    return [word for path, value in fields.items() for word in (f"--{path.replace('_', '-')}", str(value))]


def launch(command: Sequence[str], folder: Path) -> str:
    """Run a command to its end and return what it printed; `folder` keeps what it says besides.

    Raises RuntimeError with the end of that where it fails, TimeoutError where it takes longer than PATIENCE.
    """
    with _started(command, folder) as process:
        _wait_until(lambda: process.poll() is not None, command)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {_said(folder)[-2000:]}")
    return (folder / "printed.txt").read_text()


def launch_and_kill(command: Sequence[str], folder: Path, when: Callable[[], bool]) -> None:
    """Run a command until `when()` is true, then kill it and all its ranks with SIGKILL at once.

    Raises RuntimeError where it ends before that, TimeoutError where it takes longer than PATIENCE.
    """
    with _started(command, folder) as process:
        _wait_until(lambda: when() or process.poll() is not None, command)
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} ended before it could be killed: {_said(folder)[-2000:]}")


@contextmanager
def _started(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running command; what is left of it and of its children is killed at the end.

    By a list of processes: torchrun gives every rank a process group of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "TORCH_EXTENSIONS_DIR": str(folder / "extensions")}
    with (folder / "printed.txt").open("wb") as printed, (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            command, stdout=printed, stderr=said, env={**os.environ, **quiet}, start_new_session=True
        )
        try:
            yield process
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        member.kill()
    psutil.wait_procs(family, timeout=10)
    process.wait()


def _wait_until(happened: Callable[[], bool], command: Sequence[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"{' '.join(command)} took longer than {PATIENCE} s")
        time.sleep(0.02)


def _said(folder: Path) -> str:
    return (folder / "said.txt").read_text(errors="replace")
