"""Commands of several ranks: launched with torchrun or one by one, each in a process group that is ended at the end."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 400  # seconds; on idle cores each takes less than 30

Environment = Mapping[str, str]


class Ended(NamedTuple):
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


def torchrun(*command: str, ranks: int = 2) -> list[str]:
    """A command that runs a module on several ranks; `--`, because torchrun would take --run for an option of its own.

    Its own port is found by torchrun.
    """
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks), "-m", "--"),
        *command,
    ]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(command: Sequence[str], extra: Environment | None = None) -> Iterator[subprocess.Popen[str]]:
    """A running command, with pipes; whatever is left of its process group is killed at the end."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    environment |= {"PYTHONPATH": str(ROOT)} | dict(extra or {})
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a command; a hang is an error."""
    out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out, err)


def run(command: Sequence[str], extra: Environment | None = None) -> Ended:
    """Run a command to its end."""
    with started(command, extra) as process:
        return ended(process)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, once for all worker processes of pytest."""
    own = factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, made = base / name, base / f"{name}.made"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def by_srun(module: Sequence[str], port: int) -> list[tuple[list[str], Environment]]:
    """Two processes with the variables that SLURM gives each; a simulation, there is no srun here."""
    shared = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    places = [{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in (0, 1)]
    return [([sys.executable, "-m", *module], shared | place) for place in places]
