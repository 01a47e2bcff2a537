"""Under DeepSpeed SOAP and Muon keep their matrices at ZeRO stage 0, and are refused at the others."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.training.matrices_under_deepspeed"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# DeepSpeed rounds otherwise when it clips. SOAP's first statistics have fewer ranks than rows, so that some of their
# eigenvectors hang on rounding alone.
@pytest.mark.parametrize(("name", "tolerance"), [("soap", 1e-3), ("muon", 1e-6)])
def test_they_step_on_matrices_as_without_deepspeed(reports: dict[str, Any], name: str, tolerance: float) -> None:
    report = reports[name]
    assert report["axes"] == [2]
    under, local = report["losses"]
    assert under == pytest.approx(local, rel=tolerance)


def test_soap_has_a_basis_for_each_side_of_each_matrix(reports: dict[str, Any]) -> None:
    report = reports["soap"]
    assert report["bases"] == [[[side, side] for side in shape] for shape in report["shapes"]]


@pytest.mark.parametrize("name", ["soap", "muon"])
def test_a_stage_that_flattens_is_refused_before_and_at_the_first_step(reports: dict[str, Any], name: str) -> None:
    assert f"training.optimizer = '{name}' with engine.zero_stage = 1" in reports[name]["refused"]
    assert "set engine.zero_stage 0" in reports[name]["past the check"]
