"""What happens to pairs that cannot be used: they are named, replaced, counted, and above a set share the run stops."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from heapq import nsmallest
from pathlib import Path

MINIMUM_SAMPLES = 200  # below this a share says too little to stop a run; our choice
KEYS_SHOWN = 5


class DamagedArchive(ValueError):
    """A data file that ends too early or cannot be read on; names the file, and the offset where that is known."""


class DamagedPair(ValueError):
    """A pair that cannot be used. `reason` is a kind ("truncated", "no caption"), then perhaps ": details"."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class DamagedImage(DamagedPair):
    """The picture of a pair cannot be used."""


class DamagedCaption(DamagedPair):
    """The captions of a pair cannot be used."""


class TooMuchDamage(RuntimeError):
    """More samples had to be replaced than `data.damage_limit` allows."""


@dataclass(frozen=True)
class Replacement:
    """At global `position` the pair `key` could not be used for `reason`, and `used_key` of its source took its place.

    `source` is the source's number in the mixture, 0 where there is one: names change where folders are moved.
    """

    position: int
    key: str
    reason: str
    used_key: str
    source: int


class DamageLog:
    """Writes every replacement to `damage.jsonl` of a run folder and holds every source's share of replaced samples.

    A position counts once: what the file already holds is read first, so that batches seen again after a resume add
    neither lines nor counts, and positions beyond the samples seen so far (left by a run that went further before it
    was interrupted) wait until they are reached. One process writes: with several ranks, hand the replacements of all
    of them to one log. Raises OSError where the folder cannot be written.
    """

    def __init__(self, folder: Path, limit: float, name: str = "damage.jsonl") -> None:
        self.path = folder / name
        self.limit = limit
        self._positions: dict[int, array[int]] = {}  # of every source, ascending; long runs have many
        if self.path.exists():
            for found in _whole_lines(self.path):
                self._add(found)

    def replaced(self, samples_seen: Mapping[str, int]) -> dict[str, int]:
        """How many of the samples seen of every source were replaced; the names stand in the order of the sources."""
        reached = sum(samples_seen.values())
        return {name: bisect_left(self._of(number), reached) for number, name in enumerate(samples_seen)}

    def record(self, replacements: Sequence[Replacement], samples_seen: Mapping[str, int]) -> None:
        """Add the replacements of a batch; `samples_seen` counts the run's samples so far by source.

        Raises TooMuchDamage when of one source more than the limit's share was replaced, and at least 200 samples of it
        were seen.
        """
        new = [found for found in replacements if not self._holds(found)]
        if new:
            with self.path.open("a") as lines:
                lines.writelines(json.dumps(asdict(found)) + "\n" for found in new)
            for found in new:
                self._add(found)
        for number, (name, replaced) in enumerate(self.replaced(samples_seen).items()):
            seen = samples_seen[name]
            if seen >= MINIMUM_SAMPLES and replaced > self.limit * seen:
                raise TooMuchDamage(self._too_much(number, name, replaced, seen))

    def _of(self, source: int) -> array[int]:
        return self._positions.setdefault(source, array("q"))

    def _holds(self, found: Replacement) -> bool:
        positions = self._of(found.source)
        place = bisect_left(positions, found.position)
        return place < len(positions) and positions[place] == found.position

    def _add(self, found: Replacement) -> None:
        """A position counts once, however many pairs were tried there."""
        if not self._holds(found):
            insort(self._of(found.source), found.position)

    def _too_much(self, number: int, name: str, replaced: int, seen: int) -> str:
        of_source = (found for found in _whole_lines(self.path) if found.source == number)
        first = nsmallest(KEYS_SHOWN, of_source, key=lambda found: found.position)
        return (
            f"{replaced} of {seen} samples of {name} ({replaced / seen:.2%}) had to be replaced, more than "
            f"data.damage_limit = {self.limit:.2%}; first: {', '.join(f'{f.key} ({f.reason})' for f in first)}; all "
            f"are listed in {self.path}. Go on with a higher data.damage_limit, or mend the data and start a new run"
        )


def _whole_lines(path: Path) -> list[Replacement]:
    """The replacements in a log; a last line cut off by an interruption is left out of the file as well."""
    text = path.read_text()
    whole, _, rest = text.rpartition("\n")
    if rest:
        path.write_text(whole + "\n" if whole else "")
    return [Replacement(**json.loads(line)) for line in whole.splitlines()]
