"""Opening the index of a folder of shards, and making it: shard by shard, in parallel, going on after interruptions."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import signal
import socket
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.files import root_of
from aimv2_lab.data.reading import with_retries
from aimv2_lab.data.tars.archive import TAR_SUFFIXES
from aimv2_lab.data.tars.index import (
    Manifest,
    StaleIndex,
    TarIndex,
    first_of,
    index_command,
    index_folder,
    shard_sizes,
    shards_to_index,
)
from aimv2_lab.data.tars.job import ShardJob
from aimv2_lab.data.tars.merging import merge_parts

SMALL = 64  # shards; a folder with no more is indexed as it is opened, a larger one by a command; our choice
_logger = logging.getLogger(__name__)
_COLUMN_NAME = re.compile(r"[\w.-]+")


def open_index(data: Path) -> TarIndex:
    """The index of a folder of shards, or of one tar; made at once where there is none or shards are new, if small.

    Raises StaleIndex for shards that are missing or have another size, and where a folder of more than `SMALL` shards
    is to be indexed: it names the command for that. Raises DamagedArchive as `build_index` does. Times are not
    compared, for copying changes them: a shard written anew with the same size is met as StaleIndex where a member is
    read whose header differs, and not noticed where contents alone differ. `build_index` compares times.
    """
    found = shard_sizes(data)
    index = read_index(data)
    lacking = list(found) if index is None else shards_to_index(index, found)
    if index is not None and not lacking:
        index.check_arrays()
        return index
    columns, check = (index.manifest.columns, index.manifest.checked) if index else ((), True)
    if len(found) > SMALL:
        raise StaleIndex(f"{data} is to be indexed: {first_of(lacking)}. Run {index_command(data, columns)}")
    index = build_index(data, columns, check=check)
    if index.manifest.damaged:
        warnings.warn(
            f"{data}: {index.manifest.damaged} members or pairs are damaged; they are listed with their reasons by "
            f"{index_command(data, columns)}",
            stacklevel=2,
        )
    return index


def read_index(data: Path) -> TarIndex | None:
    """The index of a folder of shards, or of one tar, as it is; None where there is none of this version."""
    folder = index_folder(data)
    manifest = Manifest.read(folder)
    return None if manifest is None else TarIndex(data, folder, manifest)


def build_index(
    data: Path, columns: Sequence[str] | None = None, workers: int = 1, check: bool = True, progress: bool = False
) -> TarIndex:
    """Index a folder of shards, or one tar, with `workers` processes; what was indexed before is used again.

    `columns` are numbers to keep of every sample, None those that the present index has; `check` opens the header of
    every picture; see `index_shard`. With `progress`, a bar counts shards: for a command, while a notebook that opens a
    few shards stays quiet. Raises DamagedArchive naming all shards that are damaged, ValueError where there are none,
    for a column that no sample has, and for bad names and numbers, ChildProcessError where a process was killed.
    """
    if columns is None:
        present = read_index(data)
        columns = present.manifest.columns if present else ()
    if workers < 1:
        raise ValueError(f"workers = {workers}: at least one process has to walk the shards")
    bad = [name for name in columns if not _COLUMN_NAME.fullmatch(name)]
    if bad:
        raise ValueError(f"column {bad[0]!r}: names are of letters, digits, dots, dashes and underscores")
    shards = shard_sizes(data)
    if not shards:
        raise ValueError(f"{data} holds no WebDataset shards: expected {', '.join(TAR_SUFFIXES)}")
    folder = index_folder(data, building=True)
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder) as alone:
        jobs = [ShardJob.of(root_of(data), name, folder, tuple(columns), check) for name in shards]
        _run([job for job in jobs if not job.is_done()], len(jobs), workers, progress)
        return merge_parts(data, folder, jobs, clean=alone)


def _run(jobs: Sequence[ShardJob], shards: int, workers: int, progress: bool) -> None:
    """Index what is left of `shards`; those that are damaged do not hold up the others."""
    found = _outcomes(jobs, workers)
    done = shards - len(jobs)
    watched = tqdm(found, "index", shards, unit="shard", initial=done, disable=not jobs or not progress)
    damaged = sorted(outcome for outcome in watched if outcome)
    if damaged:
        several = f"{len(damaged)} of {shards} shards are damaged:\n" if len(damaged) > 1 else ""
        raise DamagedArchive(several + "\n".join(damaged))


def _outcomes(jobs: Sequence[ShardJob], workers: int) -> Iterator[str]:
    """What is damaged in every shard, empty for a good one, as they are done."""
    if workers < 2 or len(jobs) < 2:
        yield from map(_outcome, jobs)
        return
    executor = ProcessPoolExecutor(min(workers, len(jobs)), initializer=_leave_interrupts_to_the_first_process)
    try:
        for future in as_completed([executor.submit(_outcome, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool:
        raise ChildProcessError(
            f"one of {workers} processes that index was killed, most likely because memory ran out: run it again with "
            f"fewer (--workers {workers // 2}); what is done is kept"
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def _outcome(job: ShardJob) -> str:
    try:
        with_retries(job.run, f"{job.shard}, indexed in {job.folder}")
    except DamagedArchive as damage:
        return str(damage)
    return ""


def _leave_interrupts_to_the_first_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[bool]:
    """Wait while another process indexes the same data, as the ranks of a run do; they then find all done.

    Gives whether others are kept out: some network file systems have no locks, and there the work is done twice.
    """
    with (folder / "lock").open("a+") as lock:
        try:
            _wait_for(lock)
        except OSError as error:
            _logger.warning("%s cannot be locked (%s): nothing old is removed from it", folder, error.strerror)
            yield False
            return
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        yield True


def _wait_for(lock: TextIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        _logger.warning("waiting for %s, which indexes these shards (%s)", lock.read() or "another", lock.name)
        fcntl.flock(lock, fcntl.LOCK_EX)
