"""Exchange a function for a while, wherever it is bound, and put everything back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Where copies made by `from module import name` are looked for: the package, its tests, a notebook.
SEARCHED = ("aimv2_lab", "tests", "__main__")


@contextmanager
def exchanged(owner: ModuleType | type, name: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """While the context lasts, `owner.name` does what `replacement` does, also where it was imported by name.

    `owner` is a module or a class, of which `name` is a function or a plain method. Inside the replacement the name
    means the original. Afterwards all is as it was, also in modules that were first imported meanwhile, and also after
    an error. Defaults of parameters and closures that hold the original keep it. Raises AttributeError for a name that
    the owner does not define itself.
    """
    if name not in vars(owner):
        raise AttributeError(f"{owner.__name__} defines no {name!r} to exchange")
    original = vars(owner)[name]
    inside = False

    def exchanging(*arguments: Any, **options: Any) -> Any:
        nonlocal inside
        if inside:
            return original(*arguments, **options)
        inside = True
        try:
            return replacement(*arguments, **options)
        finally:
            inside = False

    try:
        _rebind(owner, original, exchanging)
        yield
    finally:
        _rebind(owner, exchanging, original)


def _rebind(owner: ModuleType | type, old: object, new: object) -> None:
    """Bind `new` to every name that is bound to `old`: in the class, or in all searched modules."""
    places = [owner] if isinstance(owner, type) else _modules()
    for place in places:
        for name in [name for name, value in vars(place).items() if value is old]:
            setattr(place, name, new)


def _modules() -> list[ModuleType]:
    """What has been imported of the searched packages."""
    return [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in SEARCHED and module]
