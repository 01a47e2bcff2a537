"""The machinery of exercise checks: they print one line, draw what differs, and never raise.

The convention, for notebook NN and its exercises a, b, c, …:

* `aimv2_lab/lessons/checks/notebook_NN.py` defines `check_NNa(answer) -> CheckResult`, one per exercise. Each ends in a
  call of `check_function`, `check_properties`, `check_number` or `check_choice`, whose name is like "NNa title".
* The notebook's stub is a typed function whose body is its docstring and a bare `raise NotImplementedError`; where the
  answer is a number or a letter it is `answer_NNb = None`. The cell's last line is `check_NNa(the_function)`.
* `notebooks/exercises/solutions.py` holds `solution_NNa`: the function, class, number or letter that passes.
* `tests/lessons/wrong_answers_NN.py` holds `WRONG = {"NNa": {"what is wrong with it": answer, …}, …}`: two or more
  plausible wrong answers for each exercise, which must fail.
* `tests/lessons/test_exercise_checks.py` finds all of these by name.

A check prints one of

    ○ not attempted: 02a patch order
    ✗ 02a patch order, 2 x 3 grid: 4 of 24 entries differ; the first at (0, 1): yours 7, target 1
    ✓ 02a patch order: 3 cases agree

and for tensors draws target, yours and their difference. The result shows nothing more as a cell's last value.
"""

from __future__ import annotations

import copy
import linecache
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

import aimv2_lab
from aimv2_lab.lessons.checks.compare import Difference, compare

PACKAGE = str(Path(aimv2_lab.__file__).parent)  # whose frames are not the learner's code
Outcome = Literal["not attempted", "wrong", "right"]


@dataclass(frozen=True)
class Case:
    """One call of the learner's function: `answer(*arguments)` must equal `expected`.

    `expected` is a tensor, a number, a bool, a string, or a tuple, list or dict of these. The learner's function gets
    copies of the arguments, so that one that writes into them spoils no other case.
    """

    name: str
    arguments: tuple[Any, ...]
    expected: Any


@dataclass(frozen=True)
class Property:
    """Something that must hold of the answer: `fault(answer)` returns None, or says in one line what is wrong."""

    name: str
    fault: Callable[[Any], Difference | str | None]


@dataclass(frozen=True)
class CheckResult:
    """What a check found; true when the answer is right. As the last value of a cell it shows nothing."""

    name: str
    outcome: Outcome
    message: str
    difference: Difference | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.outcome == "right"

    def _ipython_display_(self) -> None:
        """Nothing: the check has already printed its line."""


def check_function(name: str, answer: Any, cases: Sequence[Case], tolerance: float = 1e-5) -> CheckResult:
    """Call the learner's function on every case and stop at the first that differs.

    `tolerance` is absolute and relative at once. Exceptions of the learner's code become the message.
    """

    def fault_of(case: Case) -> Callable[[Any], Difference | None]:
        return lambda function: compare(case.expected, function(*copy.deepcopy(case.arguments)), tolerance)

    properties = [Property(case.name, fault_of(case)) for case in cases]
    return _judge(name, answer, properties, f"{_count(len(cases), 'case')} {'agrees' if len(cases) == 1 else 'agree'}")


def check_properties(name: str, answer: Any, properties: Sequence[Property]) -> CheckResult:
    """Try every property on the answer (a function, a class, any object) and stop at the first that does not hold.

    For answers that no list of expected values describes: random draws, modules, statements about a training run.
    """
    holds = f"{_count(len(properties), 'property', 'properties')} {'holds' if len(properties) == 1 else 'hold'}"
    return _judge(name, answer, properties, holds)


def check_number(
    name: str, answer: Any, low: float, high: float, hints: Mapping[float, str] | None = None
) -> CheckResult:
    """Is the number within low … high, both included? `hints` says what a known wrong value was confused with."""
    if not _attempted(answer):
        return _report(_not_attempted(name))
    value = answer.item() if isinstance(answer, Tensor) and answer.numel() == 1 else answer
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _report(_wrong(name, f"a number is expected, this is a {type(value).__name__}"))
    if low <= value <= high:
        band = f"is {low:g}" if low == high else f"lies within {low:g} … {high:g}"
        return _report(CheckResult(name, "right", f"✓ {name}: {value:g} {band}"))
    hint = next(
        (text for wrong, text in (hints or {}).items() if abs(value - wrong) <= 1e-3 * max(1.0, abs(wrong))), ""
    )
    side = "too low" if value < low else "too high" if value > high else "not a number"
    return _report(_wrong(name, f"{value:g} is {side}" + (f"; {hint}" if hint else "")))


def check_choice(name: str, answer: Any, right: str, feedback: Mapping[str, str]) -> CheckResult:
    """Is the chosen letter right? `feedback` says for every letter, the right one too, why."""
    if not _attempted(answer):
        return _report(_not_attempted(name))
    letter = answer.strip().upper() if isinstance(answer, str) else ""
    if letter not in feedback:
        return _report(_wrong(name, f"{letter or type(answer).__name__} is none of {', '.join(feedback)}"))
    if letter == right:
        return _report(CheckResult(name, "right", f"✓ {name}: {letter}. {feedback[letter]}"))
    return _report(_wrong(name, f"{letter} does not fit: {feedback[letter]}"))


def _judge(name: str, answer: Any, properties: Iterable[Property], agreed: str) -> CheckResult:
    """Try the properties in turn; whatever the learner's code raises becomes a message."""
    if not _attempted(answer):
        return _report(_not_attempted(name))
    for tried in properties:
        try:
            with torch.random.fork_rng(devices=[]):  # an answer that draws numbers must not disturb the notebook's
                found = tried.fault(answer)
        except Exception as error:  # any fault of the learner's code is an answer to report
            if isinstance(error, NotImplementedError) and not error.args:
                return _report(_not_attempted(name))
            found = Difference(_one_line(error))
        if found is not None:
            difference = Difference(found) if isinstance(found, str) else found
            return _report(_wrong(f"{name}, {tried.name}", difference.text, difference, name))
    return _report(CheckResult(name, "right", f"✓ {name}: {agreed}"))


def _attempted(answer: Any) -> bool:
    return answer is not None and answer is not Ellipsis


def _not_attempted(name: str) -> CheckResult:
    return CheckResult(name, "not attempted", f"○ not attempted: {name}")


def _wrong(place: str, text: str, difference: Difference | None = None, name: str = "") -> CheckResult:
    return CheckResult(name or place, "wrong", f"✗ {place}: {text}", difference)


def _one_line(error: Exception) -> str:
    """The learner's exception in one line, with the line of code it came from."""
    first = (str(error).strip() or "no message").splitlines()[0]
    text = f"your code raised {type(error).__name__}: {first[:160]}"
    theirs = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(PACKAGE)]
    outside = [frame for frame in theirs if "site-packages" not in frame.filename]
    source = linecache.getline(outside[-1].filename, outside[-1].lineno or 0).strip() if outside else ""
    return f"{text} (at: {source[:80]})" if source else text


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _report(result: CheckResult) -> CheckResult:
    """Print the line and, where tensors differ, draw them; the one place where a check speaks."""
    print(result.message)
    if result.difference is not None and result.difference.drawable:
        result.difference.show(result.name)
    return result
