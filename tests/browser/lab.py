"""A JupyterLab of one's own: fresh folders, a free port, a process group that ends with it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from aimv2_lab.lessons.notebooks import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120
END_SECONDS = 30
FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "IPYTHONDIR",
)


class Lab(NamedTuple):
    """A running server: its process, address and token, and the folder that it shows."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    folder: Path

    def page(self, path: Path) -> str:
        """The address of a notebook below `folder`; `reset` keeps tabs of an earlier page from coming back."""
        name = urllib.parse.quote(path.relative_to(self.folder).as_posix())
        return f"http://127.0.0.1:{self.port}/lab/tree/{name}?reset&token={self.token}"

    def ask(self, method: str, path: str) -> bytes:
        """The answer of the server's REST interface; raises OSError while it is not there."""
        address = f"http://127.0.0.1:{self.port}/api/{path}"
        request = urllib.request.Request(address, method=method, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def end_kernels(self) -> None:
        """End every kernel, busy or not."""
        for kernel in json.loads(self.ask("GET", "kernels")):
            self.ask("DELETE", f"kernels/{kernel['id']}")


@contextmanager
def running_lab(folder: Path, state: Path, log: Path) -> Iterator[Lab]:
    """JupyterLab on the notebooks in `folder`, its settings in `state`, its output in `log`.

    Raises RuntimeError when it does not answer, or when one of its processes had to be killed at the end.
    """
    port, token = free_port(), secrets.token_hex(16)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(port, token, folder),
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment(state),
            start_new_session=True,
        )
    lab = Lab(process, port, token, folder)
    try:
        wait_until_it_answers(lab, log)
        yield lab
    finally:
        end(process)


def command(port: int, token: str, folder: Path) -> list[str]:
    """JupyterLab without a browser of its own, without questions and without the network."""
    options = [
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        "--LabApp.expose_app_in_browser=True",  # the tests ask the page's notebook model, not only what is drawn
    ]
    as_root = ["--allow-root"] if os.geteuid() == 0 else []
    return [sys.executable, "-m", "jupyterlab", *options, *as_root]


def environment(state: Path) -> dict[str, str]:
    """What kernels inherit: the notebooks' settings, this checkout, and no folder of the user."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    inherited.pop("MPLBACKEND", None)  # the kernel chooses its own, and draws into the notebook
    settings = state / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    # Without this file JupyterLab lays a question about news over the page.
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    return {**inherited, **ENVIRONMENT, "PYTHONPATH": str(ROOT), **{name: str(state / name) for name in FOLDERS}}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_it_answers(lab: Lab, log: Path) -> None:
    """Return when the server answers; raise RuntimeError with the end of its log when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while lab.process.poll() is None and time.monotonic() < deadline:
        try:
            lab.ask("GET", "status")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"JupyterLab did not answer (exit status {lab.process.poll()}):\n{log.read_text()[-2000:]}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End the server's process group; its kernels, which have groups of their own, must end with it."""
    if process.poll() is not None:
        return
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    os.killpg(process.pid, signal.SIGTERM)
    left = psutil.wait_procs(family, timeout=END_SECONDS)[1]
    for member in left:
        member.kill()
    process.wait()
    if left:
        raise RuntimeError(f"JupyterLab did not end its processes, they were killed: {left}")
