"""Reading pieces of many files by offset, through the passing errors of network file systems."""

from __future__ import annotations

import errno
import logging
import os
import resource
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from aimv2_lab.data.damage import DamagedArchive

# What network file systems answer while a server or a link recovers.
PASSING_ERRORS = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EINTR", "EBUSY", "EREMOTEIO", "ESHUTDOWN"),
        *("ENOTCONN", "ECONNRESET", "ECONNABORTED", "ECONNREFUSED"),
        *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH"),
    )
    if hasattr(errno, name)  # EREMOTEIO is Linux's alone
)
DELAYS = tuple(0.5 * 2**attempt for attempt in range(7))  # seconds between attempts, a minute in all; our choice

Result = TypeVar("Result")


class LastingError(OSError):
    """An error of `PASSING_ERRORS` that did not pass; not tried again by whoever else would."""


Sleep = Callable[[float], None]
_logger = logging.getLogger(__name__)


def with_retries(
    action: Callable[[], Result], place: str, sleep: Sleep = time.sleep, renew: Callable[[], None] = lambda: None
) -> Result:
    """What `action` gives, tried again after `PASSING_ERRORS` with growing delays, each time after `renew`.

    Raises OSError of the same number, naming the place, for other errors at once and for these after the last attempt.
    """
    delays = iter(DELAYS)
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno is None or isinstance(error, LastingError):  # not the file system's, or tried before
                raise
            if error.errno not in PASSING_ERRORS:
                named = place if str(error.filename or "") in place else f"{error.filename}, for {place}"
                raise OSError(error.errno, f"{error.strerror}: {named}") from error
            delay = next(delays, None)
            if delay is None:
                raise LastingError(error.errno, f"{error.strerror} {len(DELAYS) + 1} times over: {place}") from error
            _logger.warning("%s: %s; trying again in %g s", error.strerror, place, delay)
        sleep(delay)
        renew()


class PieceReader:
    """Reads pieces of files; each process opens those that it needs, and keeps `open_limit()` of them open.

    Pieces are read by offset and descriptors have no place of their own, so forked processes and threads can share
    one reader.
    """

    def __init__(self, sleep: Sleep = time.sleep) -> None:
        self.sleep = sleep
        self.opened = lru_cache(maxsize=open_limit())(_Descriptor)

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """`size` bytes of a file from `offset`.

        Raises DamagedArchive where the file ends before, OSError as `with_retries` does.
        """
        place = f"{path} at byte {offset}"
        # A new descriptor for every further attempt: a stale one never recovers.
        return with_retries(lambda: self._read(path, offset, size), place, self.sleep, self.opened.cache_clear)

    def _read(self, path: Path, offset: int, size: int) -> bytes:
        descriptor = self.opened(path)
        found = os.pread(descriptor.number, size, offset)
        while len(found) < size:  # a file system may give less than it has
            more = os.pread(descriptor.number, size - len(found), offset + len(found))
            if not more:
                raise DamagedArchive(
                    f"{path} gives {len(found)} of {size} bytes at byte {offset}: it has become shorter since it was "
                    "indexed. Fetch or write it again, then index it again"
                )
            found += more
        return found


def open_limit() -> int:
    """How many shards a process keeps open: a quarter of the files that it may, at most 1,024; our choice."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1024 if allowed == resource.RLIM_INFINITY else min(max(allowed // 4, 1), 1024)


class _Descriptor:
    """An open file; it is closed with the last reference, so not while another thread reads."""

    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)
