"""Every fault is caught by the test it names, shows where it says, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aimv2_lab.lessons.bugs.examinations import EXAMINATIONS, shows
from aimv2_lab.lessons.bugs.faults import FAULTS, find_fault
from aimv2_lab.lessons.bugs.phantoms import HEALTHY, train_on

ROOT = Path(__file__).resolve().parents[2]
EVERY_FAULT = pytest.mark.parametrize("name", FAULTS)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, list[str]]]:
    """How every fault's own test ended, healthy and sick; all in one process, which takes half a minute."""
    command = [sys.executable, "-m", "tests.lessons.run_catching_tests"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return dict(json.loads(run.stdout.splitlines()[-1]))


@EVERY_FAULT
def test_the_named_test_passes_without_the_fault(name: str, outcomes: dict[str, dict[str, list[str]]]) -> None:
    assert outcomes[name]["healthy"] and set(outcomes[name]["healthy"]) == {"passed"}


@EVERY_FAULT
def test_the_named_test_fails_with_the_fault(name: str, outcomes: dict[str, dict[str, list[str]]]) -> None:
    assert outcomes[name]["sick"] and set(outcomes[name]["sick"]) == {"AssertionError"}


@pytest.mark.parametrize("examination", EXAMINATIONS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_shows_where_it_says_and_nowhere_else(name: str, examination: str) -> None:
    assert shows(name, examination) == (examination in FAULTS[name].shown_by)


@pytest.mark.parametrize("examination", EXAMINATIONS)
def test_a_healthy_run_shows_nothing(examination: str) -> None:
    assert not shows(HEALTHY, examination)


def test_losses_are_bit_equal_after_every_fault() -> None:
    before = train_on("pictures", steps=2)
    for fault in FAULTS.values():
        with fault.applied():
            train_on("pictures", steps=1)
    assert train_on("pictures", steps=2) == before


@EVERY_FAULT
def test_every_binding_is_as_it_was(name: str) -> None:
    def bindings() -> dict[tuple[str, str], int]:
        owners = [module for key, module in sys.modules.items() if key.partition(".")[0] in ("aimv2_lab", "tests")]
        owners += [owner for owner, _, _ in FAULTS[name].exchanges if isinstance(owner, type)]  # type: ignore[misc]
        return {(owner.__name__, key): id(value) for owner in owners for key, value in vars(owner).items()}

    before = bindings()
    with pytest.raises(RuntimeError, match="in between"), find_fault(name).applied():
        assert bindings() != before
        raise RuntimeError("in between")
    assert bindings() == before


def test_names_are_keys_and_tests_are_all_different() -> None:
    assert all(fault.name == name for name, fault in FAULTS.items())
    assert len({fault.test for fault in FAULTS.values()}) == len(FAULTS) >= 15


def test_an_unknown_fault_or_examination_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="mask transposed"):
        find_fault("mask transpose")
    with pytest.raises(KeyError, match="leaks"):
        shows(HEALTHY, "leak")
