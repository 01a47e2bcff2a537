"""The index of one shard, as it is kept until all are merged: arrays, and notes on what is damaged."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from aimv2_lab.data.files import written_aside

# Where a member's content lies in the tar and its size, in bytes; a CRC-32 of its header, which proves every read; its
# extension as a number into a list of them.
MEMBER = np.dtype([("offset", "<u8"), ("size", "<u8"), ("header_sum", "<u4"), ("extension", "<u2")], align=True)
_COLUMN = "column."
_NAMED = ("extension", "size")  # of a member, what names the pair
_EXTENSIONS_LIMIT = 2**16 - 1


@dataclass(frozen=True)
class Damage:
    """A member, or a whole sample where `member` is empty, that cannot be used; `reason` as DamagedPair has it."""

    key: str
    member: str
    reason: str


@dataclass(frozen=True)
class PartArrays:
    """What the index holds of a shard's S samples and M members."""

    counts: np.ndarray  # (S,) uint16, members of every sample
    key_hashes: np.ndarray  # (S,) uint64
    key_bytes: np.ndarray  # uint8, the keys in UTF-8, one after the other
    key_ends: np.ndarray  # (S,) uint64, where each of them ends
    members: np.ndarray  # (M,) MEMBER


@dataclass(frozen=True)
class PartNotes:
    """What is known of a shard beside its arrays.

    `passed_over` members belong to no sample. `pairs` is a hash of what names the pairs: keys, extensions and sizes in
    their order, which repacking a tar does not change; `everything` is a hash of all there is.
    """

    samples: int
    members: int
    key_bytes: int
    extensions: list[str]
    damage: list[Damage]
    passed_over: int
    pairs: str = ""
    everything: str = ""


@dataclass(frozen=True)
class Part:
    """The index of one shard; `columns` are numbers by name, (S,) float64, NaN where a sample has none."""

    arrays: PartArrays
    columns: Mapping[str, np.ndarray]
    notes: PartNotes

    def save(self, file: Path, stamp: Mapping[str, Any]) -> None:
        """Write the part, whole or not at all, with a stamp that tells what it was made of."""
        named = vars(self.arrays) | {_COLUMN + name: column for name, column in self.columns.items()}
        notes = asdict(self.notes) | {"pairs": self._pairs(), "everything": self._everything()}
        with written_aside(file) as aside, aside.open("wb") as open_file:
            np.savez(open_file, **named, notes=_as_bytes(notes), stamp=_as_bytes(stamp))

    @classmethod
    def load(cls, file: Path) -> Part:
        """Read a part back."""
        with np.load(file) as stored:
            columns = {name.removeprefix(_COLUMN): stored[name] for name in stored.files if name.startswith(_COLUMN)}
            arrays = PartArrays(**{name: stored[name] for name in PartArrays.__dataclass_fields__})
            return cls(arrays, columns, _notes(stored))

    def _pairs(self) -> str:
        stored, notes = self.arrays, self.notes
        found = blake2b(json.dumps([notes.samples, notes.members, notes.extensions]).encode(), digest_size=16)
        for array in (stored.counts, stored.key_ends, stored.key_bytes, *map(stored.members.__getitem__, _NAMED)):
            found.update(array.tobytes())
        return found.hexdigest()

    def _everything(self) -> str:
        found = blake2b(json.dumps(asdict(self.notes)).encode(), digest_size=16)
        for name, array in {**vars(self.arrays), **self.columns}.items():
            found.update(name.encode())
            found.update(array.tobytes())
        return found.hexdigest()


def check_extensions(extensions: Collection[str], place: str) -> None:
    """Raise ValueError for more extensions than MEMBER can number."""
    if len(extensions) > _EXTENSIONS_LIMIT:
        raise ValueError(
            f"{place} has more than {_EXTENSIONS_LIMIT} kinds of members, as {', '.join([*extensions][-3:])}: a key "
            "ends at the first dot of a file name, so the names of members may hold no dot before the extension"
        )


def read_notes(file: Path) -> PartNotes:
    """The notes of a part, without its arrays."""
    with np.load(file) as stored:
        return _notes(stored)


def read_stamp(file: Path) -> dict[str, Any]:
    """What a part was made of; empty where there is none that can be read."""
    try:
        with np.load(file) as stored:
            return json.loads(stored["stamp"].tobytes())
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return {}


def _notes(stored: Mapping[str, np.ndarray]) -> PartNotes:
    notes = json.loads(stored["notes"].tobytes())
    return PartNotes(**notes | {"damage": [Damage(**damage) for damage in notes["damage"]]})


def _as_bytes(value: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
