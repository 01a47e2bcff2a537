"""Show the package's real source inside a lesson, as text that the notebook tests compare.

The text is a stored output of the notebook. When the code changes and the lesson was not run again, the strict test of
the notebook fails: code and lesson cannot part in silence. There are no line numbers, so that an edit elsewhere in the
file changes nothing.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

import aimv2_lab

ROOT = Path(aimv2_lab.__file__).resolve().parents[1]


class Source:
    """The source of one object: Markdown in a notebook, the same text elsewhere."""

    def __init__(self, path: str, name: str, text: str) -> None:
        self.path, self.name, self.text = path, name, text

    def __repr__(self) -> str:
        """Plain text, which strict nbval compares as text/plain."""
        return f"{self.path} · {self.name}\n\n{self.text}"

    def _repr_markdown_(self) -> str:
        return f"`{self.path}` · **{self.name}**\n\n```python\n{self.text}\n```"


def show(shown: Callable[..., object] | type | ModuleType | str) -> Source:
    """The source of a function, class, method or property, or of a module's constant, as written in the package.

    A constant has no source of its own, so it is named: `show("aimv2_lab.model.patches.TARGET_EPS")`. Raises
    ValueError for what is not the package's own or cannot be found.
    """
    if isinstance(shown, str):
        return _show_constant(shown)
    plain = inspect.unwrap(shown.fget if isinstance(shown, property) and shown.fget else shown)  # type: ignore[arg-type]
    if not isinstance(plain, (type, ModuleType, FunctionType, MethodType)):
        raise ValueError(f"{shown!r} has no source to show; name a constant, as in show('package.module.NAME')")
    try:
        path, text = inspect.getsourcefile(plain), inspect.getsource(plain)
    except (OSError, TypeError):  # built in, or typed into a notebook that is gone
        path, text = None, ""
    name = plain.__name__ if isinstance(plain, ModuleType) else plain.__qualname__
    return Source(_relative(path, name), name, textwrap.dedent(text).rstrip())


def _show_constant(dotted: str) -> Source:
    """The assignment of `package.module.NAME` at the module's top level."""
    module, _, name = dotted.rpartition(".")
    spec = importlib.util.find_spec(module) if module else None
    if spec is None or spec.origin is None:
        raise ValueError(
            f"there is no module {module!r}; write the full path, as in 'aimv2_lab.model.patches.TARGET_EPS'"
        )
    text = Path(spec.origin).read_text()
    for statement in ast.parse(text).body:
        if name in _assigned(statement):
            lines = text.splitlines()[statement.lineno - 1 : statement.end_lineno]
            return Source(_relative(spec.origin, dotted), name, "\n".join(lines))
    raise ValueError(f"{module} assigns no {name!r} at its top level")


def _assigned(statement: ast.stmt) -> list[str]:
    """The names a statement assigns."""
    if isinstance(statement, ast.Assign):
        targets: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return []
    flat = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [target.id for target in flat if isinstance(target, ast.Name)]


def _relative(path: str | None, name: str) -> str:
    """The path within the repository, never the machine's."""
    if path is None or not Path(path).resolve().is_relative_to(ROOT / "aimv2_lab"):
        raise ValueError(f"{name} is not defined in the package aimv2_lab; only its own source is shown")
    return Path(path).resolve().relative_to(ROOT).as_posix()
