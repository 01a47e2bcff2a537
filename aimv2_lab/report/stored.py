"""Results that took longer than a reader waits: made once by a named command, stored as small JSON, and labelled so.

A stored result says how it was made: the command, the machine, the versions, the recipe, and the seconds it took. The
files lie in `report/stored_results/`, and no code but the named command writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from aimv2_lab.fields import unknown_name
from aimv2_lab.training.run.folder import environment

FOLDER = Path(__file__).with_name("stored_results")


@dataclass(frozen=True)
class StoredResult:
    """Values of any JSON form, and where they come from."""

    name: str
    command: str
    made: str  # ISO date
    seconds: float  # of computation, one process after the other
    environment: Mapping[str, Any]
    recipe: Mapping[str, Any]
    values: Any

    @property
    def label(self) -> str:
        """One line for a figure or a caption: command, duration, machine."""
        torch_version = self.environment["versions"]["torch"]
        return (
            f"{self.command} · {self.seconds / 60:.0f} min on {self.environment['machine']}, "
            f"{self.environment['threads']} thread(s), torch {torch_version}, {self.made}"
        )


def save_result(
    name: str, values: Any, command: str, recipe: Mapping[str, Any], seconds: float, folder: Path = FOLDER
) -> Path:
    """Write a result that this process (or the runs it names) has just made; returns the file."""
    made = date.today().isoformat()
    result = StoredResult(name, command, made, round(seconds, 1), environment(), recipe, values)
    file = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(_compact(asdict(result)) + "\n")
    return file


def refuse_other_command(name: str, command: str, folder: Path = FOLDER) -> None:
    """Raise ValueError when the result of that name was made by another command: it would be lost."""
    file = folder / f"{name}.json"
    if file.exists() and (made_by := load_result(name, folder).command) != command:
        raise ValueError(f"{file} was made by {made_by!r}; choose another --name, or remove the file to replace it")


def load_result(name: str, folder: Path = FOLDER) -> StoredResult:
    """The stored result of that name; raises UnknownName, a KeyError, with the nearest names that exist."""
    file = folder / f"{name}.json"
    if not file.exists():
        raise unknown_name("stored result", name, [path.stem for path in folder.glob("*.json")])
    return StoredResult(**json.loads(file.read_text()))


def _compact(values: Mapping[str, Any]) -> str:
    """JSON with one line per field and per entry of `values`, so that a diff can be read."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items() if key != "values"]
    parts = values["values"]
    if isinstance(parts, list):
        inner = "[\n" + ",\n".join(json.dumps(part) for part in parts) + "\n]"
    else:
        inner = json.dumps(parts)
    return "{\n" + ",\n".join([*lines, f'"values": {inner}']) + "\n}"
