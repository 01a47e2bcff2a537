"""Checks print one line, locate the fault, never raise, and show nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from aimv2_lab.lessons.checks.compare import compare
from aimv2_lab.lessons.checks.core import (
    Case,
    CheckResult,
    Property,
    check_choice,
    check_function,
    check_number,
    check_properties,
)

CASES = [Case(f"n = {n}", (torch.arange(float(n)),), 2 * torch.arange(float(n))) for n in (2, 3)]


def stub(values: Tensor) -> Tensor:
    raise NotImplementedError


def writes_into_its_argument(values: Tensor) -> Tensor:
    return values.mul_(2)


def test_right_wrong_and_unsolved(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_function("99a twice", lambda values: 2 * values, CASES)
    assert not check_function("99a twice", lambda values: 2 * values + (values > 1), CASES)
    assert check_function("99a twice", stub, CASES).outcome == "not attempted"
    assert capsys.readouterr().out.splitlines() == [
        "✓ 99a twice: 2 cases agree",
        "✗ 99a twice, n = 3: 1 of 3 entries differs; the first at (2,): yours 5.000, target 4.000",
        "○ not attempted: 99a twice",
    ]


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (lambda values: None, "returned nothing"),
        (lambda values: [0.0, 2.0], "yours is a list"),
        (lambda values: values[None], "your shape is (1, 2), the target's (2,)"),
        (lambda values: (2 * values).long(), "your entries are integer, the target's float"),
        (lambda values: values @ torch.ones(5), "your code raised RuntimeError"),
        (lambda values: values.nowhere, "your code raised AttributeError"),
        (lambda: 1, "your code raised TypeError"),
        ("not a function", "your code raised TypeError"),
        (lambda values: values * float("nan"), "entries differ"),
    ],
)
def test_every_fault_becomes_one_line(answer: Any, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = check_function("99a", answer, CASES)
    assert result.outcome == "wrong" and part in result.message
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1 and not captured.err


def test_the_line_of_the_learners_code_is_named() -> None:
    def answer(values: Tensor) -> Tensor:
        return values @ torch.ones(7)

    assert "(at: return values @ torch.ones(7))" in check_function("99a", answer, CASES).message


def test_a_torch_not_implemented_error_is_a_fault_and_not_an_unsolved_stub() -> None:
    def answer(values: Tensor) -> Tensor:
        raise NotImplementedError("no kernel for this type")

    assert check_function("99a", answer, CASES).outcome == "wrong"


def test_answers_that_write_into_their_argument_spoil_nothing() -> None:
    assert check_function("99a", writes_into_its_argument, CASES)
    assert torch.equal(CASES[1].arguments[0], torch.arange(3.0))


def test_random_answers_leave_the_notebooks_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    check_properties("99a", lambda: torch.rand(5), [Property("draws", lambda answer: None if len(answer()) else "no")])
    assert torch.equal(torch.rand(3), expected)


def test_a_property_that_fails_is_named() -> None:
    properties = [Property("positive", lambda x: None), Property("even", lambda x: "it is odd" if x % 2 else None)]
    assert check_properties("99a", 3, properties).message == "✗ 99a, even: it is odd"
    assert check_properties("99a", 4, properties).message == "✓ 99a: 2 properties hold"


@pytest.mark.parametrize(
    ("answer", "outcome", "part"),
    [
        (588, "right", "588 is 588"),
        (torch.tensor(588.0), "right", "588 is 588"),
        (196, "wrong", "196 is too low; three channels?"),
        (600, "wrong", "600 is too high"),
        (float("nan"), "wrong", "not a number"),
        ("588", "wrong", "a number is expected"),
        (True, "wrong", "a number is expected"),
        (None, "not attempted", "99b"),
        (..., "not attempted", "99b"),
    ],
)
def test_numbers(answer: Any, outcome: str, part: str) -> None:
    result = check_number("99b", answer, 588, 588, {196: "three channels?"})
    assert (result.outcome, part in result.message) == (outcome, True), result.message


@pytest.mark.parametrize(
    ("answer", "outcome", "part"),
    [
        ("b", "right", "because"),
        ("A", "wrong", "not so"),
        ("Z", "wrong", "Z is none of A, B"),
        (7, "wrong", "int is none of A, B"),
        (["A"], "wrong", "list is none of A, B"),
        (None, "not attempted", "99c"),
    ],
)
def test_choices(answer: Any, outcome: str, part: str) -> None:
    result = check_choice("99c", answer, "B", {"A": "not so", "B": "because"})
    assert (result.outcome, part in result.message) == (outcome, True), result.message


@pytest.mark.parametrize(
    ("target", "yours", "part"),
    [
        (3, 3, None),
        (3.0, torch.tensor(3.0), None),
        (True, True, None),
        (True, 1, "the target is of type bool, yours of type int"),
        (1, True, "the target is of type int, yours of type bool"),
        (0.1, 0.2, "yours is 0.2, the target 0.1"),
        ("left", "right", "yours is 'right'"),
        ((1, 2), (1, 2), None),
        ((1, 2), (1, 3), "item 1"),
        ((1, 2), (1,), "yours has 1 items"),
        ({"a": 1}, {"a": 1}, None),
        ({"a": 1}, {"a": 2}, "['a']"),
        ({"a": 1}, {"b": 1}, "your keys"),
        (torch.tensor([True, False]), torch.tensor([True, True]), "1 of 2 entries differs"),
        (torch.tensor([True]), torch.tensor([1.0]), "your entries are float"),
        (torch.tensor([float("nan")]), torch.tensor([float("nan")]), None),
        (torch.tensor([1, 2]), torch.tensor([1, 2], dtype=torch.int32), None),
        (torch.zeros(0, 3), torch.zeros(0, 3), None),
    ],
)
def test_compare(target: Any, yours: Any, part: str | None) -> None:
    found = compare(target, yours)
    assert (found is None) if part is None else (found is not None and part in found.text), found


def test_the_slice_with_the_first_difference_is_drawn() -> None:
    target = torch.zeros(2, 3, 4)
    yours = target.clone()
    yours[1, 2, 3] = 1
    found = compare(target, yours)
    assert found is not None and found.target is not None and found.yours is not None
    assert found.drawable and found.yours.shape == (3, 4) and found.yours[2, 3] == 1


def test_a_result_shows_nothing_as_a_cells_value() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    formatter = InteractiveShell().display_formatter
    assert formatter is not None
    formatted, metadata = formatter.format(CheckResult("99a", "right", "✓"))
    assert formatted == {} and metadata == {}
