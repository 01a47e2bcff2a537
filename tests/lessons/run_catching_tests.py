"""Run the test that each fault names, healthy and sick, in one process; prints the outcomes as JSON.

Not a test itself: `test_bugs.py` runs it aside, so that pytest does not run within pytest.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from aimv2_lab.lessons.bugs.faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "aimv2_lab.lessons.bugs.plugin"


class Outcomes:
    """Collects how each test ended: "passed", or the name of what it raised."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
        report = yield
        if report.when == "call" or not report.passed:
            self.ended.append("passed" if call.excinfo is None else call.excinfo.type.__name__)
        return report


def outcomes(fault: Fault, sick: bool) -> list[str]:
    """How the cases of the fault's test ended; empty when there is no such test."""
    collected = Outcomes()
    options = ["-q", "-p", "no:cacheprovider", "-p", PLUGIN] + (["--fault", fault.name] if sick else [])
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*options, "--rootdir", str(ROOT), str(ROOT / fault.test)], plugins=[collected])
    return collected.ended


if __name__ == "__main__":
    found = {
        fault.name: {"healthy": outcomes(fault, False), "sick": outcomes(fault, True)} for fault in FAULTS.values()
    }
    print(json.dumps(found))
