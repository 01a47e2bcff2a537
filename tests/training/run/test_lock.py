"""Two processes never train in one run folder."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from aimv2_lab.training import loop
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.folder import read_metrics
from aimv2_lab.training.run.lock import lock_run
from tests.training.toy import SMALL

HOLD = """
import sys, time
from pathlib import Path
from typing import IO
from aimv2_lab.training.run.lock import lock_run
held = lock_run(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""
SHORT = SMALL.change({"data.source": "world:easy:64", "decoder.vocabulary": 94, "training.steps": 2})


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a folder's lock."""
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        yield other
    finally:
        other.kill()
        other.wait()


def test_a_folder_that_another_process_trains_in_is_refused_until_that_ends(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as other:
        with pytest.raises(FileExistsError, match=f"another process is training in {tmp_path}"):
            pretrain(SHORT, tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"run.lock"}  # nothing was written
        other.kill()  # as a scheduler may
        other.wait()
    pretrain(SHORT, tmp_path)
    assert read_metrics(tmp_path, "train")[-1]["step"] == 2


def test_the_lock_is_given_back(tmp_path: Path) -> None:
    with lock_run(tmp_path):
        pass
    with held_elsewhere(tmp_path):
        pass


def test_a_run_that_went_on_since_it_was_looked_at_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process ends between this one's look at the folder and its lock."""

    def late_lock(folder: Path) -> IO[str]:
        with monkeypatch.context() as before:
            before.setattr(loop, "lock_run", lock_run)
            pretrain(SHORT, folder)
        return lock_run(folder)

    monkeypatch.setattr(loop, "lock_run", late_lock)
    with pytest.raises(FileExistsError, match="another process has just trained"):
        pretrain(SHORT, tmp_path)
