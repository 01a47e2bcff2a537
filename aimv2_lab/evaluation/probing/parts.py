"""Some of a source's pairs, or those of several, as a source of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.data.records import Pair, Source
from aimv2_lab.evaluation.probing.pictures import LabelledPictures, Labels, Task


@dataclass(frozen=True, eq=False)
class PartOfSource:
    """The pairs at `indices` of a source, in that order; a `Source`."""

    whole: Source
    indices: np.ndarray

    @property
    def name(self) -> str:
        """The whole's."""
        return self.whole.name

    @property
    def fingerprint(self) -> str:
        """Changes with the whole and with the choice."""
        digest = blake2b(self.whole.fingerprint.encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.indices, "<i8").data)
        return digest.hexdigest()

    @property
    def shards(self) -> tuple[int, ...]:
        """One: files are not told apart."""
        return (len(self.indices),)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Pair:
        return self.whole[int(self.indices[index])]


@dataclass(frozen=True, eq=False)
class JoinedSources:
    """All pairs of several sources, end to end; a `Source`."""

    parts: tuple[Source, ...]

    @property
    def name(self) -> str:
        """Every part's."""
        return " and ".join(part.name for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """Changes with any part, and with their order."""
        about = " ".join(part.fingerprint for part in self.parts)
        return blake2b(about.encode(), digest_size=16).hexdigest()

    @property
    def shards(self) -> tuple[int, ...]:
        """One for each part."""
        return tuple(map(len, self.parts))

    def __len__(self) -> int:
        return sum(self.shards)

    def __getitem__(self, index: int) -> Pair:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(f"pair beyond the {len(self)} of {self.name}")


def joined(mixtures: Sequence[MixedSource]) -> Source:
    """All pairs of some mixtures, each once whatever its weight: their one source, or several joined."""
    parts = tuple(part for mixture in mixtures for part in mixture.parts)
    return parts[0] if len(parts) == 1 else JoinedSources(parts)


@dataclass(frozen=True, eq=False)
class PartLabels:
    """The labels of the pairs at `indices` of a source."""

    whole: Labels
    indices: np.ndarray

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The whole's."""
        return self.whole.tasks

    def __call__(self, pair: Pair, index: int) -> Sequence[int]:
        """As the whole has them."""
        return self.whole(pair, int(self.indices[index]))


def split_off(pictures: LabelledPictures, share: float) -> tuple[LabelledPictures, LabelledPictures]:
    """The pictures but a share of them, and that share: drawn once, the same for every seed of a probe.

    Each part has one picture at least. Raises ValueError for fewer than two pictures.
    """
    number = len(pictures)
    if number < 2:
        raise ValueError(f"{pictures.source.name}: {number} training pictures; some are held out to choose the rate by")
    shuffled = np.random.Generator(np.random.Philox(0)).permutation(number)
    held_out = min(max(round(share * number), 1), number - 1)
    return part_of(pictures, np.sort(shuffled[held_out:])), part_of(pictures, np.sort(shuffled[:held_out]))


def part_of(pictures: LabelledPictures, indices: np.ndarray) -> LabelledPictures:
    """The pictures at some indices, in that order."""
    source, labels = PartOfSource(pictures.source, indices), PartLabels(pictures.labels, indices)
    return replace(pictures, source=source, labels=labels)
