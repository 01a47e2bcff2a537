"""Patients hide their fault, and a diagnosis is judged without giving it away."""

from __future__ import annotations

import itertools
import re

import matplotlib.pyplot as plt
import pytest

from aimv2_lab.lessons.bugs.examinations import EXAMINATIONS
from aimv2_lab.lessons.bugs.faults import FAULTS
from aimv2_lab.lessons.bugs.page import fault_table, silent_faults
from aimv2_lab.lessons.bugs.patients import admit, diagnose, examine, fault_of
from aimv2_lab.lessons.bugs.telling_apart import TELL_APART
from aimv2_lab.lessons.notebooks import NOTEBOOKS, read

NUMBERS = range(1, len(FAULTS) + 1)
NOTEBOOK = NOTEBOOKS / "exercises" / "bug_clinic.ipynb"


def test_every_fault_is_one_patients_and_the_number_says_nothing() -> None:
    order = [fault_of(admit(number)).name for number in NUMBERS]
    assert sorted(order) == sorted(FAULTS)
    assert sum(listed == had for listed, had in zip(FAULTS, order, strict=True)) <= 2
    assert [repr(admit(number)) for number in NUMBERS] == [f"Patient(number={number})" for number in NUMBERS]
    assert all(vars(admit(number)) == {"number": number} for number in NUMBERS)


@pytest.mark.parametrize("number", [0, len(FAULTS) + 1])
def test_an_unknown_patient_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"patient {number} is unknown; the clinic has patients 1 … {len(FAULTS)}"):
        admit(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_right_diagnosis_passes_with_its_test_and_a_similar_fault(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    patient, fault = admit(number), fault_of(admit(number))
    assert diagnose(patient, fault.name)
    said = capsys.readouterr().out
    assert said.startswith(f"✓ patient {number}: ") and fault.sentence in said and fault.test in said
    similar = re.search(r"Similar: (.*?)\. ", said)
    assert similar and frozenset({similar[1], fault.name}) in TELL_APART


@pytest.mark.parametrize("number", NUMBERS)
def test_every_wrong_diagnosis_fails_with_a_reason_that_does_not_name_the_fault(number: int) -> None:
    patient, fault = admit(number), fault_of(admit(number))
    for name in set(FAULTS) - {fault.name}:
        result = diagnose(patient, name)
        assert result.outcome == "wrong"
        assert fault.name not in result.message
        assert any(f"'{examination}'" in result.message for examination in EXAMINATIONS), result.message


def test_an_open_or_unknown_diagnosis_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose(admit(1), None).outcome == "not attempted"
    assert diagnose(admit(1), "mask transpose").outcome == "wrong"
    assert diagnose(admit(1), 7).outcome == "wrong"
    assert "did you mean 'mask transposed'?" in capsys.readouterr().out


def test_faults_with_equal_findings_can_be_told_apart() -> None:
    for one, other in itertools.combinations(FAULTS.values(), 2):
        if set(one.shown_by) == set(other.shown_by):
            assert frozenset({one.name, other.name}) in TELL_APART, (one.name, other.name)
    assert set().union(*TELL_APART) == set(FAULTS)


@pytest.mark.parametrize("examination", EXAMINATIONS)
def test_every_examination_draws_a_patient(examination: str) -> None:
    assert examine(admit(1), examination).axes
    plt.close("all")


def test_the_notebook_holds_the_page_of_all_faults_and_names_the_silent_ones() -> None:
    text = "\n".join(cell.source for cell in read(NOTEBOOK).cells if cell.cell_type == "markdown")
    assert fault_table() in text
    assert 4 <= len(silent_faults()) < len(FAULTS)
