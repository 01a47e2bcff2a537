"""Run a command and write what it used: CPU-seconds and peak memory of it and of every process it waited for.

    python aimv2_lab/lessons/meter.py USED.json COMMAND …

A script of its own, without imports from the package: a process is charged with the memory of the one that starts it,
so what starts the command must be small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def main(used_file: str, *command: str) -> int:
    """Write {"seconds": user and system time of all, "peak_mib": of the largest process}; returns the exit status."""
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    used = {"seconds": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss * BYTES_PER_UNIT / 2**20}
    Path(used_file).write_text(json.dumps(used))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
