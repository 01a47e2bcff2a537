"""Patients: runs with a fault that is not named, to be examined and diagnosed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b

from matplotlib.figure import Figure

from aimv2_lab.lessons.bugs.examinations import EXAMINATIONS, examined
from aimv2_lab.lessons.bugs.faults import FAULTS, Fault
from aimv2_lab.lessons.bugs.telling_apart import TELL_APART
from aimv2_lab.lessons.checks.core import CheckResult, Outcome


@dataclass(frozen=True)
class Patient:
    """A run with one fault. Its number says nothing about it, and nothing else is kept here that could be printed."""

    number: int


def admit(number: int) -> Patient:
    """The patient of that number, 1 … the number of faults; every fault is somebody's. ValueError for other numbers."""
    if not 1 <= number <= len(FAULTS):
        raise ValueError(f"patient {number} is unknown; the clinic has patients 1 … {len(FAULTS)}")
    return Patient(number)


def fault_of(patient: Patient) -> Fault:
    """What an admitted patient has: the answer that diagnoses are held against."""
    shuffled = sorted(FAULTS, key=lambda name: blake2b(name.encode(), person=b"clinic").digest())
    return FAULTS[shuffled[patient.number - 1]]


def examine(patient: Patient | int, examination: str) -> Figure:
    """What one of `EXAMINATIONS` finds in a patient, drawn; raises UnknownName, a KeyError, for another examination."""
    known = admit(patient) if isinstance(patient, int) else patient
    found = examined(fault_of(known).name, examination)
    return EXAMINATIONS[examination].draw(found)


def diagnose(patient: Patient, answer: object) -> CheckResult:
    """Say which fault it is. Prints one line and never raises: right, or what the answer would not explain."""
    outcome, text = _judged(patient, answer)
    result = CheckResult(f"patient {patient.number}", outcome, text)
    print(result.message)
    return result


def _judged(patient: Patient, answer: object) -> tuple[Outcome, str]:
    """Outcome and message of a diagnosis."""
    name, fault = f"patient {patient.number}", fault_of(patient)
    if answer is None:
        return "not attempted", f"○ not attempted: {name}"
    if not isinstance(answer, str) or answer not in FAULTS:
        near = get_close_matches(str(answer), FAULTS, n=1)
        return "wrong", f"✗ {name}: {answer!r} is no fault of this clinic; " + (
            f"did you mean {near[0]!r}?" if near else "their names are list(FAULTS)"
        )
    if answer != fault.name:
        return "wrong", f"✗ {name}: not {answer!r}. {difference(FAULTS[answer], fault)}"
    other = next(next(iter(pair - {answer})) for pair in TELL_APART if answer in pair)
    note = TELL_APART[frozenset({answer, other})]
    return "right", f"✓ {name}: {answer}. {fault.sentence}\nCaught by {fault.test}\nSimilar: {other}. {note}"


def difference(said: Fault, true: Fault) -> str:
    """Why `said` cannot be the diagnosis of a patient with `true`, without naming what it is."""
    absent = [name for name in EXAMINATIONS if name in said.shown_by and name not in true.shown_by]
    unexplained = [name for name in EXAMINATIONS if name in true.shown_by and name not in said.shown_by]
    reasons = [f"It would show in {_listed(absent)}, and this patient is healthy there."] if absent else []
    reasons += [f"It would leave {_listed(unexplained)} healthy, and here something is odd."] if unexplained else []
    return " ".join(reasons) or f"That is close. {TELL_APART[frozenset({said.name, true.name})]}"


def _listed(names: Sequence[str]) -> str:
    """Examinations in a sentence."""
    return " and ".join(f"'{name}'" for name in names)
