"""Several sources as one, in fixed shares: what the runs of the papers are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from aimv2_lab.data.order import MixedOrder
from aimv2_lab.data.reading import with_retries
from aimv2_lab.data.records import Pair, Source
from aimv2_lab.data.sources import Split, open_source
from aimv2_lab.recipes import DataRecipe


class MixedSource:
    """Sources and the whole-number shares in which they are drawn.

    Index i of the whole is index i of the sources joined end to end; keys are led by the source's name, because two
    sources may use the same keys. Empty `names` are the sources' own. One source alone is a mixture too, and its keys
    stay as they are. Raises ValueError for two sources of one name.
    """

    def __init__(self, parts: Sequence[Source], weights: Sequence[int] = (1,), names: Sequence[str] = ("",)) -> None:
        self.parts, self.weights = tuple(parts), tuple(weights)
        self.names = tuple(name or part.name for part, name in zip(parts, names, strict=True))
        if twice := [name for name in self.names if self.names.count(name) > 1]:
            raise ValueError(
                f"data.mixture has two sources named {twice[0]}: their pairs could not be told apart. Give each a name"
            )

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> Pair:
        number = 0
        while number + 1 < len(self.parts) and index >= len(self.parts[number]):
            index -= len(self.parts[number])
            number += 1
        return self.pair(number, index)

    def pair(self, source: int, index: int) -> Pair:
        """The pair at an index of one of the sources."""
        pair = self.parts[source][index]
        return pair if len(self.parts) == 1 else replace(pair, key=f"{self.names[source]}:{pair.key}")

    def order(self, seed: int) -> MixedOrder:
        """Which pair of which source stands at which position."""
        return MixedOrder([part.shards for part in self.parts], self.weights, seed)


def open_mixture(split: Split, data_recipe: DataRecipe, image_size: int) -> MixedSource:
    """Open the training or validation pairs of every source of a recipe, anew after passing errors of file systems.

    Raises what `open_source` and `with_retries` do.
    """
    _refuse_overlaps([part.source for part in data_recipe.mixture])
    sources = [
        with_retries(partial(open_source, part.source, split, part, image_size), f"source {part.source}")
        for part in data_recipe.parts
    ]
    if not data_recipe.mixture:
        return MixedSource(sources)
    names = [f"{part.name}/{split}" if part.name else "" for part in data_recipe.mixture]
    return MixedSource(sources, [part.weight for part in data_recipe.mixture], names)


def _refuse_overlaps(specs: Sequence[str]) -> None:
    """Raise ValueError where one source lies in another's folder: its pairs have other keys there, so that those held
    out of one would be trained on in the other."""
    places = {spec: Path(spec).expanduser().resolve() for spec in specs if Path(spec).expanduser().exists()}
    for inner, place in places.items():
        for outer, folder in places.items():
            if place != folder and place.is_relative_to(folder):
                raise ValueError(f"data.mixture: {inner} lies in {outer}, another source: list folders side by side")
