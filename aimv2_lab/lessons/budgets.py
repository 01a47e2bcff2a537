"""What a notebook may cost: declared in its metadata, measured under the strict test that everyone runs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from nbformat import NotebookNode

from aimv2_lab.lessons import meter

ROOT = Path(__file__).resolve().parents[2]

# One thread and no network, so that outputs agree between machines; notebooks are executed in the same environment.
ENVIRONMENT = {"AIMV2_LAB_FAST": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

METADATA = "aimv2_lab"  # the key of a notebook's metadata that holds its budget
WHOLE_SECONDS, WHOLE_MIB = 5, 100  # budgets are multiples of these


@dataclass(frozen=True)
class Budget:
    """CPU-seconds on one thread, and MiB of resident memory of the largest process, the kernel."""

    seconds: int
    peak_mib: int


@dataclass(frozen=True)
class Measured:
    """What one strict run used, whether it passed, and what it printed."""

    seconds: float
    peak_mib: float
    passed: bool
    output: str

    @property
    def rounded(self) -> Budget:
        """The budget to declare: rounded up to multiples of 5 seconds and 100 MiB."""
        whole = math.ceil(self.seconds / WHOLE_SECONDS) * WHOLE_SECONDS
        return Budget(whole, math.ceil(self.peak_mib / WHOLE_MIB) * WHOLE_MIB)


def declared(notebook: NotebookNode) -> Budget | None:
    """The budget that the notebook's metadata declares; None without one. Raises ValueError for a malformed one."""
    budget = notebook.metadata.get(METADATA)
    if budget is None:
        return None
    if set(budget) != {"seconds", "peak_mib"} or not all(type(most) is int and most > 0 for most in budget.values()):
        raise ValueError(f"{METADATA} = {dict(budget)}; it must hold positive whole numbers, seconds and peak_mib")
    return Budget(**budget)


def declare(notebook: NotebookNode, budget: Budget) -> None:
    """Write the budget into the notebook's metadata."""
    notebook.metadata[METADATA] = asdict(budget)


def run_strictly(path: Path) -> Measured:
    """Execute a notebook in a fresh kernel, compare every output with the stored one, and measure."""
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "120", "-p", "no:cacheprovider", "-q"]
    sanitize = ["--nbval-sanitize-with", str(ROOT / "tests" / "sanitize.cfg")]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    environment.pop("MPLBACKEND", None)  # the kernel chooses its own, and draws into the notebook
    with tempfile.TemporaryDirectory() as folder:
        used = Path(folder) / "used.json"
        command = [sys.executable, meter.__file__, str(used), sys.executable, "-m", "pytest", *options, *sanitize]
        run = subprocess.run(
            [*command, str(path)], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
        )
        if not used.exists():
            raise RuntimeError(f"{path.name} could not be run: {run.stderr}")
        return Measured(**json.loads(used.read_text()), passed=run.returncode == 0, output=run.stdout + run.stderr)
