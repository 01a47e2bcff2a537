"""What every kind of recipe can do: be written, read, changed; and the checks that all of them share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from aimv2_lab.fields import build, merged
from aimv2_lab.recipes.training import EngineRecipe, TrainingRecipe

_RECIPE_FIELD = "recipe field"  # what error messages call a field


def check_precision(training: TrainingRecipe, engine: EngineRecipe) -> None:
    """Raise ValueError for weights in bfloat16 that are to compute in float32."""
    if engine.weights == "bfloat16" and training.precision != "bfloat16":
        raise ValueError(
            "engine.weights = 'bfloat16' cannot compute in float32: set training.precision bfloat16, or engine.weights "
            "float32"
        )


@dataclass(frozen=True)
class Writable:
    """Writing, reading and changing, the same for every kind of recipe."""

    def to_json(self) -> str:
        """The recipe as readable JSON, every field written out."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; an unknown field raises UnknownName, a KeyError, with the nearest names."""
        return build(cls, json.loads(text), _RECIPE_FIELD)

    def change(self, changes: Mapping[str, Any]) -> Self:
        """A copy with fields changed by dotted path, e.g. {"training.steps": 100}.

        A source that is named takes the place of a mixture, and a mixture that of a source. Raises UnknownName for an
        unknown field (with the nearest names), ValueError for values that do not fit.
        """
        return build(type(self), merged(asdict(self), _either_data(changes), _RECIPE_FIELD), _RECIPE_FIELD)


def _either_data(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, and of data.source and data.mixture the one emptied that the other takes the place of."""
    found = dict(changes)
    if found.get("data.source"):
        found.setdefault("data.mixture", [])
    elif found.get("data.mixture"):
        found.setdefault("data.source", "")
    return found
