"""Two ranks on one machine: every launcher, and every way to be ended and go on."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from aimv2_lab.formats.folder import newest_checkpoint
from aimv2_lab.training.run.folder import read_metrics
from aimv2_lab.training.run.stopping import STOPPED
from tests.launch.quick import SETTINGS
from tests.ranks import PATIENCE, by_srun, ended, free_port, made_once, run, started, torchrun

STEPS = 24
DEEPSPEED = [str(Path(sys.executable).with_name("deepspeed")), "--num_accelerators", "2"]


def options(folder: Path, *more: str) -> list[str]:
    """What follows the module's name."""
    data = ("--recipe", "small", "--data", "data_samples/webdataset", "--run", str(folder))
    return [*data, *SETTINGS, "--training.steps", str(STEPS), *more]


def command(folder: Path, *more: str) -> list[str]:
    """The module and its options."""
    return ["aimv2_lab.launch.pretrain", *options(folder, *more)]


def measured(folder: Path) -> list[list[float]]:
    """Step, losses and gradient norm of every record, validation's too."""
    names = ("step", "total", "pixel", "text", "gradient_norm")
    return [[row[name] for name in names if name in row] for row in read_metrics(folder)]


def is_close(found: Path, expected: Path) -> bool:
    """Whether all records are equal within 1e-6, as where the number of ranks has changed."""
    rows = zip(measured(found), measured(expected), strict=True)
    return all(one == pytest.approx(other, rel=1e-6) for one, other in rows)


def wait_for(rows: int, folder: Path, alive: Callable[[], int | None]) -> None:
    """Wait until the run has logged so many records."""
    end = time.monotonic() + PATIENCE
    while len(read_metrics(folder)) < rows:
        assert alive() is None, "the run ended before it could be stopped"
        assert time.monotonic() < end
        time.sleep(0.01)


def make_whole(folder: Path) -> None:
    """A run without a break, where nothing can be compiled and a build that was killed has left its lock."""
    (folder / "no_programs").mkdir()
    lock = folder / "extensions" / "deepspeed_shm_comm" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    places = {"PATH": str(folder / "no_programs"), "TORCH_EXTENSIONS_DIR": str(folder / "extensions")}
    done = run(torchrun(*command(folder / "run")), places)
    assert done.status == 0, done.err
    (folder / "out").write_text(done.out)
    (folder / "err").write_text(done.err)
    assert [*(folder / "extensions").iterdir()] == [lock.parent]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "whole_run_of_two_ranks", make_whole)


def test_a_good_run_shows_one_progress_line_and_its_end(whole: Path) -> None:
    assert len(measured(whole / "run")) == STEPS + 3
    ending = rf"step {STEPS}: validation pixel loss [\d.]+, caption loss [\d.]+; run in .*/run\n"
    assert re.fullmatch(ending, (whole / "out").read_text())
    said = [line for line in re.split(r"[\r\n]+", (whole / "err").read_text()) if line.strip()]
    assert [line for line in said if not re.match(r"small: +\d+%\|", line)] == []
    assert (whole / "run" / "deepspeed.log").exists()


def test_one_rank_killed_ends_the_other_and_deepspeeds_launcher_goes_on_bit_equal(whole: Path, tmp_path: Path) -> None:
    """Nobody ends the other here: the ranks were started one by one, as by srun."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(started(line, extra)) for line, extra in by_srun(command(tmp_path), free_port())
        )
        wait_for(8, tmp_path, first.poll)
        os.kill(second.pid, signal.SIGKILL)
        killed = time.monotonic()
        done = ended(first)
        assert time.monotonic() - killed < 60
    assert done.status == 1
    assert "Traceback" not in done.err, done.err[-3000:]
    assert re.search(r"\nrank 0 lost the others, one may have died: .+\n\Z", done.err)
    last = newest_checkpoint(tmp_path)
    assert last is not None
    port = ["--master_port", str(free_port())]
    done = run([*DEEPSPEED, *port, "--module", *command(tmp_path, "--resume")])
    assert done.status == 0, done.err
    assert measured(tmp_path) == measured(whole / "run")


def test_a_rank_that_waits_where_nothing_interrupts_it_ends_with_one_that_is_killed(tmp_path: Path) -> None:
    """Not even the SIGTERM of a launcher reaches it. A loader that has not died with its rank keeps no connection."""
    module = ["tests.launch.stuck", "step", "8", *options(tmp_path, "--data.workers", "2")]
    with ExitStack() as stack:
        first, second = (stack.enter_context(started(line, extra)) for line, extra in by_srun(module, free_port()))
        wait_for(8, tmp_path, first.poll)
        time.sleep(2)
        for loader in psutil.Process(second.pid).children():
            loader.suspend()
        os.kill(second.pid, signal.SIGKILL)
        killed = time.monotonic()
        first.send_signal(signal.SIGTERM)
        done = ended(first)
        assert 2 < time.monotonic() - killed < 30
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith("rank 0 ends: it lost rank 1 2 seconds ago and still waits for it.")


def test_a_rank_that_fails_alone_ends_both_wherever_they_wait(tmp_path: Path) -> None:
    module = ["tests.launch.stuck", "exit", "8", *options(tmp_path)]
    with ExitStack() as stack:
        first, second = (stack.enter_context(started(line, extra)) for line, extra in by_srun(module, free_port()))
        failed = ended(second)
        at = time.monotonic()
        done = ended(first)
        assert time.monotonic() - at < 20
    assert (failed.status, done.status) == (-signal.SIGALRM, 1)
    assert "FloatingPointError: the second rank alone fails" in failed.err
    assert "rank 0 ends: it lost rank 1" in done.err


def test_killed_while_saving_the_last_good_checkpoint_is_gone_on_from(whole: Path, tmp_path: Path) -> None:
    """Twice, at two moments of the same save, on two ranks; the rest on one, without DeepSpeed."""
    for moment, more in (("optimizer", ()), ("commit", ("--resume",))):
        done = run(torchrun("tests.launch.dying", moment, "10", *options(tmp_path, *more)))
        assert done.status == 1
        last = newest_checkpoint(tmp_path)
        assert last is not None
        assert last.name == "step-00000005"
        assert (last.parent / "writing-step-00000010").exists()
        rows = measured(tmp_path)
        assert rows == measured(whole / "run")[: len(rows)]
        assert len(rows) == 11
    done = run([sys.executable, "-m", *command(tmp_path, "--resume")])
    assert done.status == 0, done.err
    assert is_close(tmp_path, whole / "run")


def test_told_to_stop_torchrun_saves_and_others_go_on_bit_equal(whole: Path, tmp_path: Path) -> None:
    """torchrun itself ends with 1; the ranks, started one by one, go on."""
    with started(torchrun(*command(tmp_path))) as process:
        wait_for(7, tmp_path, process.poll)
        process.send_signal(signal.SIGTERM)
        done = ended(process)
    assert done.status == 1
    said = re.search(r"Preempted: told to stop by SIGTERM; step (\d+) is saved in .*-(\d+)\. Go on with", done.err)
    assert said
    last = newest_checkpoint(tmp_path)
    assert last is not None
    assert int(said[1]) == int(said[2]) == int(last.name.removeprefix("step-")) == len(read_metrics(tmp_path, "train"))
    with ExitStack() as stack:
        lines = by_srun(command(tmp_path, "--resume"), free_port())
        ranks = [stack.enter_context(started(line, extra)) for line, extra in lines]
        for done in map(ended, ranks):
            assert done.status == 0, done.err
    assert measured(tmp_path) == measured(whole / "run")


def test_told_to_stop_with_its_loaders_a_local_run_saves_and_goes_on(whole: Path, tmp_path: Path) -> None:
    """SIGTERM to every process of the job, as schedulers send it; no worker may die first or be left over."""
    line = [sys.executable, "-m", *command(tmp_path, "--data.workers", "2")]
    with started(line) as process:
        wait_for(7, tmp_path, process.poll)
        workers = psutil.Process(process.pid).children()
        assert len(workers) >= 2
        os.killpg(process.pid, signal.SIGTERM)
        done = ended(process)
        assert not psutil.wait_procs(workers, timeout=10)[1]
    assert done.status == STOPPED
    assert done.err.splitlines()[-1].startswith("Preempted: told to stop by SIGTERM; step")
    assert "Traceback" not in done.err, done.err[-3000:]
    assert run([*line, "--resume"]).status == 0
    assert is_close(tmp_path, whole / "run")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        done = run([*DEEPSPEED, "-q", "--master_port", port, "--module", *command(tmp_path / "run")])
    assert done.status != 0
    assert f"rank 0 could not meet the others at 127.0.0.1:{port}" in done.err
    assert "Where the port is in use, name another" in done.err
    assert "Traceback" not in done.err, done.err[-3000:]
    assert not (tmp_path / "run").exists()


def test_bad_input_ends_the_whole_launch_with_one_message(tmp_path: Path) -> None:
    """What torchrun adds of its own comes after it."""
    done = run(torchrun(*command(tmp_path / "run", "--training.micro-batch-size", "8")))
    assert done.status != 0
    message = "ValueError: training.batch_size = 8 cannot be cut into 2 ranks"
    assert done.err.startswith(message)
    assert done.err.count(message) == 1
    assert not (tmp_path / "run").exists()
