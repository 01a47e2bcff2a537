"""Launches from a notebook end with everything they started, and say what went wrong."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from aimv2_lab.lessons import launches
from aimv2_lab.lessons.launches import launch, launch_and_kill, options, torchrun

# Starts a process in a group of its own, as torchrun does, tells its id, and waits.
PARENT = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_options_are_those_of_the_command_line() -> None:
    assert options({"training.batch_size": 8, "data.workers": 0}) == [
        "--training.batch-size",
        "8",
        "--data.workers",
        "0",
    ]
    assert torchrun("a.module", "--run", Path("x"))[-5:] == ["-m", "--", "a.module", "--run", "x"]


def test_what_was_printed_is_returned_and_what_failed_is_told(tmp_path: Path) -> None:
    assert launch(python("print('done')"), tmp_path) == "done\n"
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3: .*no data"):
        launch(python("import sys; print('no data', file=sys.stderr); sys.exit(3)"), tmp_path)


def test_a_kill_reaches_processes_in_groups_of_their_own(tmp_path: Path) -> None:
    told = tmp_path / "child"
    launch_and_kill(python(PARENT, told), tmp_path, when=lambda: told.exists() and bool(told.read_text()))
    child = int(told.read_text())
    end = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the child outlived its launcher"
        time.sleep(0.05)


def test_a_command_that_ends_too_early_or_never_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="ended before it could be killed"):
        launch_and_kill(python("pass"), tmp_path, when=lambda: False)
    monkeypatch.setattr(launches, "PATIENCE", 0.5)
    with pytest.raises(TimeoutError, match=r"took longer than 0\.5 s"):
        launch(python("import time; time.sleep(60)"), tmp_path)
