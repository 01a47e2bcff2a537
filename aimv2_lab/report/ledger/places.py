"""Look up what the ledger names: code and tests by syntax, notebooks by headings, presets by fields."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import aimv2_lab
from aimv2_lab.recipes import PRESETS

ROOT = Path(aimv2_lab.__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"


class Place(NamedTuple):
    """A file of the repository, as a path from its top, and a line in it."""

    path: str
    line: int

    @property
    def link(self) -> str:
        """The link from a page in notebooks/."""
        return f"../{self.path}#L{self.line}"


def locate(name: str) -> Place:
    """Where a qualified name is written: "aimv2_lab.model.masks.prefix_mask", a class's field or method, a constant.

    Names that a module imports from this package are followed to where they are defined. Raises LookupError.
    """
    parts = name.split(".")
    for taken in range(len(parts), 0, -1):
        file = ROOT.joinpath(*parts[:taken]).with_suffix(".py")
        if file.is_file():
            return _in_file(file, parts[taken:], name)
    raise LookupError(f"{name}: there is no such module")


def locate_test(test: str) -> Place:
    """Where a test "folder/test_file.py::test_name" below tests/ is written. Raises LookupError."""
    path, _, name = test.partition("::")
    file = ROOT / "tests" / path
    if not file.is_file():
        raise LookupError(f"{test}: there is no file tests/{path}")
    return _in_file(file, [name], test)


def lesson_link(lesson: str) -> str | None:
    """The link to a notebook's heading ("03: 2. The rule, by hand") or to the notebook ("03"); None for one to come.

    Raises LookupError for a heading that its notebook does not have.
    """
    number, _, heading = lesson.partition(": ")
    found = sorted(NOTEBOOKS.glob(f"{number}_*.ipynb"))
    if not found:
        if heading:
            raise LookupError(f"{lesson}: there is no notebook {number}; name a heading once it exists")
        return None
    if heading and heading not in _headings(found[0]):
        raise LookupError(f"{lesson}: {found[0].name} has no such heading; it has {', '.join(_headings(found[0]))}")
    anchor = f"#{quote(heading.replace(' ', '-'), safe=',.:;')}" if heading else ""
    return found[0].name + anchor


def preset_value(preset: str, field: str) -> Any:
    """The value of a dotted field in a named preset. Raises LookupError."""
    try:
        value: Any = PRESETS[preset]
        for part in field.split("."):
            value = getattr(value, part)
    except (KeyError, AttributeError) as error:
        raise LookupError(f"{preset}: there is no such preset, or it has no {field}") from error
    return value


def _in_file(file: Path, parts: list[str], name: str) -> Place:
    scope: ast.AST = _parsed(file)
    line = 1
    for depth, part in enumerate(parts):
        found = next(_definitions(scope, part), None)
        if isinstance(found, ast.ImportFrom) and found.module:
            return locate(".".join([found.module, *parts[depth:]]))
        if found is None:
            raise LookupError(f"{name}: {file.relative_to(ROOT)} has no {'.'.join(parts[: depth + 1])}")
        scope, line = found, found.lineno
    return Place(file.relative_to(ROOT).as_posix(), line)


def _definitions(scope: ast.AST, name: str) -> Iterator[ast.stmt]:
    """The statements directly inside a module or class, or the `self.name = …` of its methods, that define a name."""
    for statement in getattr(scope, "body", []):
        if name in _defined(statement):
            yield statement
    if isinstance(scope, ast.ClassDef):
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign | ast.AnnAssign) and f"self.{name}" in map(ast.unparse, _targets(node)):
                yield node


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("aimv2_lab"):
        return [alias.asname or alias.name for alias in statement.names]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return [ast.unparse(target) for target in _targets(statement)]
    return []


def _targets(statement: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def _headings(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text())["cells"]
    lines = (line for cell in cells if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines())
    return [line.lstrip("#").strip() for line in lines if line.startswith("#")]
