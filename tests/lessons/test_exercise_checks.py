"""Every exercise check accepts its solution, rejects named wrong answers and survives an unsolved stub."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import aimv2_lab.lessons.checks as checks_package
from aimv2_lab.lessons.checks.core import CheckResult

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
Check = Callable[[Any], CheckResult]


def load(path: Path) -> ModuleType:
    """Import a file that lies outside any package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_checks() -> dict[str, Check]:
    """Exercise id, such as "02a" -> its check."""
    found: dict[str, Check] = {}
    for module_info in pkgutil.iter_modules(checks_package.__path__):
        if module_info.name.startswith("notebook_"):
            module = importlib.import_module(f"{checks_package.__name__}.{module_info.name}")
            number = module_info.name.removeprefix("notebook_")
            found |= {name.removeprefix("check_"): f for name, f in vars(module).items() if named(name, number)}
    return found


def named(name: str, number: str) -> bool:
    return re.fullmatch(rf"check_{number}[a-z]", name) is not None


def all_wrong_answers() -> dict[str, dict[str, Any]]:
    """Exercise id -> what is wrong -> the wrong answer."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(__file__).parent.glob("wrong_answers_*.py")):
        found |= load(path).WRONG
    return found


CHECKS = all_checks()
WRONG = all_wrong_answers()
SOLUTIONS = vars(load(NOTEBOOKS / "exercises" / "solutions.py"))
CASES = [(exercise, fault) for exercise, answers in WRONG.items() for fault in answers]


def unsolved(*arguments: Any, **options: Any) -> Any:
    raise NotImplementedError


@pytest.mark.parametrize("exercise", sorted(CHECKS))
def test_the_solution_passes(exercise: str) -> None:
    result = CHECKS[exercise](SOLUTIONS[f"solution_{exercise}"])
    assert result.outcome == "right", result.message
    assert result.name.startswith(exercise)


@pytest.mark.parametrize(("exercise", "fault"), CASES, ids=[f"{e}-{f}" for e, f in CASES])
def test_a_wrong_answer_fails(exercise: str, fault: str) -> None:
    result = CHECKS[exercise](WRONG[exercise][fault])
    assert result.outcome == "wrong", f"{fault}: {result.message}"


@pytest.mark.parametrize("exercise", sorted(CHECKS))
def test_an_unsolved_stub_is_not_attempted(exercise: str) -> None:
    stub = unsolved if callable(SOLUTIONS[f"solution_{exercise}"]) else None
    assert CHECKS[exercise](stub).outcome == "not attempted"


def test_solutions_checks_and_wrong_answers_match_one_to_one() -> None:
    solved = {name.removeprefix("solution_") for name in SOLUTIONS if name.startswith("solution_")}
    assert solved == set(CHECKS) == set(WRONG)
    assert not (few := [exercise for exercise, answers in WRONG.items() if len(answers) < 2]), few


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_check_is_called_in_its_notebook_on_an_unsolved_stub(path: Path) -> None:
    number = path.stem[:2]
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    for exercise in (name for name in CHECKS if name.startswith(number)):
        calling = [cell for cell in cells if re.search(rf"^check_{exercise}\(", "".join(cell["source"]), re.MULTILINE)]
        assert len(calling) == 1, f"check_{exercise} is called in {len(calling)} cells of {path.name}"
        printed = "".join("".join(output.get("text", "")) for output in calling[0]["outputs"])
        assert printed.startswith(f"○ not attempted: {exercise}"), printed
