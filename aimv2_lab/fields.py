"""Fields of nested frozen dataclasses: read from JSON, changed by dotted path, checked, with errors that name them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints


def check_multiple(name: str, value: int, of_name: str, of: int) -> None:
    """Raise ValueError unless `value` is a positive multiple of `of`."""
    if value <= 0 or of <= 0 or value % of:
        if of <= 0:
            raise ValueError(f"{of_name} = {of} must be positive")
        lower = max(value // of, 1) * of
        raise ValueError(f"{name} = {value} is not a multiple of {of_name} = {of}; nearest: {lower} and {lower + of}")


def check_range(name: str, value: float, least: float, most: float = math.inf) -> None:
    """Raise ValueError unless `value` lies in least … most, both included."""
    if not least <= value <= most:
        bound = f"at least {least}" if most == math.inf else f"in {least} … {most}"
        raise ValueError(f"{name} = {value}; it must be {bound}")


def check_interval(name: str, interval: tuple[float, float], most: float = math.inf) -> None:
    """Raise ValueError unless 0 < lower <= upper <= most."""
    if not 0 < interval[0] <= interval[1] <= most:
        raise ValueError(f"{name} = {interval}; it must be (lower, upper) with 0 < lower <= upper <= {most}")


class UnknownName(KeyError):
    """A name that does not exist; the message offers the nearest ones that do."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message's repr


def unknown_name(what: str, name: str, known: list[str]) -> UnknownName:
    """The error for `name`, a kind of `what`, with the nearest of the `known` names."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
    return UnknownName(f"unknown {what} {name!r}; did you mean {', '.join(near)}?")


def merged(values: dict[str, Any], changes: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`values` (nested) with the dotted paths of `changes` set; unknown paths are an error here already."""
    known = [path for path, _ in leaves(values)]
    for path, value in changes.items():
        if path not in known:
            raise unknown_name(what, path, known)
        *parents, leaf = path.split(".")
        place = values
        for parent in parents:
            place = place[parent]
        place[leaf] = value
    return values


def leaves(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Every (dotted path, value) of a nested mapping."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        inside = isinstance(value, Mapping)
        found += leaves(value, f"{prefix}{name}.") if inside else [(prefix + name, value)]
    return found


def build(kind: type, values: Mapping[str, Any], what: str, prefix: str = "") -> Any:
    """Make the dataclass `kind` from nested JSON values: lists become tuples, fields must be known."""
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    made = {}
    for name, value in values.items():
        if name not in known:
            raise unknown_name(what, prefix + name, [prefix + k for k in known])
        made[name] = _checked(prefix + name, value, hints[name], what)
    missing = [
        prefix + f.name for f in fields(kind) if f.default is f.default_factory is MISSING and f.name not in made
    ]
    if missing:
        raise ValueError(f"missing {what}: {', '.join(missing)}")
    return kind(**made)


def _kind_with_fields(kinds: UnionType, value: Any) -> Any:
    """The one of several dataclasses that has just these fields; the first where none has."""
    known = {kind: {f.name for f in fields(kind)} for kind in get_args(kinds)}
    return next((kind for kind, names in known.items() if names == set(value)), get_args(kinds)[0])


def _checked(path: str, value: Any, kind: Any, what: str) -> Any:
    """The value as the field's type, or ValueError naming the field."""
    if isinstance(kind, UnionType):
        kind = _kind_with_fields(kind, value)
    if is_dataclass(kind) and isinstance(value, Mapping):
        assert isinstance(kind, type)
        return build(kind, value, what, f"{path}.")
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{path} = {value!r}; it must be one of {', '.join(map(str, get_args(kind)))}")
        return value
    if get_origin(kind) is tuple and isinstance(value, (list, tuple)) and get_args(kind)[-1] is Ellipsis:
        return tuple(_checked(f"{path}[{place}]", part, get_args(kind)[0], what) for place, part in enumerate(value))
    if get_origin(kind) is tuple and isinstance(value, (list, tuple)) and len(value) == len(get_args(kind)):
        return tuple(
            _checked(path, part, part_kind, what) for part, part_kind in zip(value, get_args(kind), strict=True)
        )
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{path} = {value!r}; it must be of type {getattr(kind, '__name__', kind)}")
    return value
