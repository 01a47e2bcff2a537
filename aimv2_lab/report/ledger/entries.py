"""What one line of the ledger says, before it is looked up and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Mark = Literal["paper", "released code", "our choice", "second-hand"]


@dataclass(frozen=True)
class Value:
    """A recipe field in a named preset, and the value that the source states for it."""

    preset: str
    field: str  # dotted path, e.g. "training.peak_lr"
    stated: object


@dataclass(frozen=True)
class Entry:
    """One fact: what is stated, where, and the code, lesson and test that hold it.

    `names` are qualified names without the leading "aimv2_lab."; `tests` are "folder/test_file.py::test_name" below
    tests/; `lesson` is a notebook's number and one of its headings, "03: 2. The rule, by hand", or the number alone.
    An entry with `absent` is not implemented, and says why.
    """

    states: str
    where: str
    mark: Mark
    names: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    lesson: str = ""
    values: tuple[Value, ...] = ()
    absent: str = ""


@dataclass(frozen=True)
class Section:
    """A table of the page."""

    title: str
    entries: tuple[Entry, ...]


def values(preset: str, stated: Mapping[str, object]) -> tuple[Value, ...]:
    """One `Value` for each field of the preset."""
    return tuple(Value(preset, field, value) for field, value in stated.items())


def absent(states: str, where: str, why: str) -> Entry:
    """Something that the paper states and that is not here, and why."""
    return Entry(states, where, "paper", absent=why)
