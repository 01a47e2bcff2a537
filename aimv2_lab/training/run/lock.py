"""One process at a time writes into a run folder."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import IO

LOCK_FILE = "run.lock"


def lock_run(folder: Path) -> IO[str]:
    """The folder's lock, held until the file returned is closed or this process ends, however it ends.

    It is this process's alone: what it forks, as loading workers are, holds nothing. Raises FileExistsError where
    another process has it. On file systems without locks nothing is held.
    """
    file = (folder / LOCK_FILE).open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            file.close()
            raise FileExistsError(
                f"another process is training in {folder}: wait for its end, or choose another folder with --run"
            ) from None
    return file
