"""Keys of rows that no index names: each is made or read when it is asked for, and their hashes are kept on disk."""

from __future__ import annotations

import json
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import datasets
import numpy as np
from datasets.utils import tqdm

from aimv2_lab.data.files import written_aside
from aimv2_lab.data.shares import key_hashes

_VERSION = 1  # raise it when a label or its hash changes: kept hashes are then made anew
_PART = 65_536  # rows whose labels are in memory at the same time; our choice
_ANEW = 0.1  # share of rows; our choice
_QUIET = 2  # seconds before a bar appears; our choice


class Labels(Protocol):
    """What rows are called, unique or not."""

    def __len__(self) -> int: ...

    def between(self, start: int, stop: int) -> list[str]:
        """The labels of the rows from `start` on and before `stop`."""
        ...

    def made_of(self) -> str | None:
        """A text that changes with the labels; None where nothing cheap does."""
        ...


@dataclass(frozen=True)
class Places:
    """Rows called by the file they lie in and their number there: `prefixes` lead those of each file, and `ends` are
    the rows after the last of each."""

    prefixes: tuple[str, ...]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return self.ends[-1]

    def between(self, start: int, stop: int) -> list[str]:
        """File and number."""
        return [f"{prefix}{number:08d}" for prefix, number in self.files_of(start, stop)]

    def files_of(self, start: int, stop: int) -> list[tuple[str, int]]:
        """The prefix of the file of each row, and the number of the row in it."""
        files = [(row, bisect_right(self.ends, row)) for row in range(start, min(stop, len(self)))]
        return [(self.prefixes[file], row - (self.ends[file - 1] if file else 0)) for row, file in files]

    def made_of(self) -> str:
        """All there is."""
        return repr(self)


@dataclass(frozen=True)
class ColumnLabels:
    """Rows called by what a table has in the column `name`; with `places`, led by the file they lie in."""

    column: datasets.Dataset
    name: str
    places: Places | None = None

    @classmethod
    def of(cls, table: datasets.Dataset, name: str, places: Places | None = None) -> ColumnLabels:
        """Of a column of a table."""
        return cls(table.select_columns([name]), name, places)

    def __len__(self) -> int:
        return len(self.column)

    def between(self, start: int, stop: int) -> list[str]:
        """Texts as they are, and anything else as Python writes it."""
        values = [str(value) for value in self.column[start:stop][self.name]]
        if self.places is None:
            return values
        return [
            f"{prefix}{value}" for value, (prefix, _) in zip(values, self.places.files_of(start, stop), strict=True)
        ]

    def made_of(self) -> str | None:
        """The column's name, and the names, sizes and times of the table's files; None for a table in memory."""
        files = [Path(part["filename"]) for part in self.column.cache_files]
        stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return json.dumps([self.name, repr(self.places), len(self), stamps]) if stamps else None


@dataclass(frozen=True)
class RowKeys:
    """The unique key of every row: its label, with the row's number behind it where another row has the same.

    `hashes` (N,) uint64 are of the labels, so that rows of one label, captions of one picture perhaps, are held out
    together; `repeated` (R,) uint64, ascending, has a hash once for every row but the first that it is of. Labels are
    taken to be the same where their hashes are. `fingerprint` changes with the labels and their order.
    """

    labels: Labels
    hashes: np.ndarray
    repeated: np.ndarray
    fingerprint: str

    @classmethod
    def of(cls, labels: Labels) -> RowKeys:
        """Keys by labels, whose hashes are made once, in a minute for 50 million rows, and kept in HF's cache.

        There they are mapped into memory. The file's name says what they were made of and what their digest is, so
        that there is all of it or nothing.
        """
        made_of = labels.made_of()
        if made_of is None:
            return cls._from(labels, *_hashed(labels))
        folder = Path(datasets.config.HF_DATASETS_CACHE) / "aimv2_lab"
        about = blake2b(f"{_VERSION} {type(labels).__name__} {made_of}".encode(), digest_size=16).hexdigest()
        for kept in folder.glob(f"{about}-*.npy"):
            return cls._from(labels, np.asarray(np.load(kept, mmap_mode="r")), kept.stem.partition("-")[2])
        found, fingerprint = _hashed(labels)
        # In a cache that cannot be written nothing is kept, and time is all that costs.
        with suppress(OSError), written_aside(folder / f"{about}-{fingerprint}.npy") as aside, aside.open("wb") as file:
            np.save(file, found)
        return cls._from(labels, found, fingerprint)

    @classmethod
    def in_files(cls, labels: ColumnLabels, places: Places) -> RowKeys:
        """Keys by a column of several files, led by the file's name where each seems to number its rows anew.

        That is where a tenth of the rows have a label that an earlier one has, and with the file's name not half as
        many. Our choice: fewer are taken for pairs that are there twice.
        """
        keys = cls.of(labels)
        if len(keys.repeated) < len(keys) * _ANEW or not len(keys.repeated):
            return keys
        led = cls.of(replace(labels, places=places))
        return led if len(led.repeated) < len(keys.repeated) / 2 else keys

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> str:
        """The key of a row; raises IndexError."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of a table of {len(self)}")
        label = self.labels.between(row, row + 1)[0]
        place = int(np.searchsorted(self.repeated, self.hashes[row]))
        shared = place < len(self.repeated) and self.repeated[place] == self.hashes[row]
        return f"{label} (row {row})" if shared else label

    @classmethod
    def _from(cls, labels: Labels, found: np.ndarray, fingerprint: str) -> RowKeys:
        return cls(labels, found[: len(labels)], found[len(labels) :], fingerprint)


def _hashed(labels: Labels) -> tuple[np.ndarray, str]:
    """The hashes of labels, followed by those that repeat, (N + R,) uint64, and the digest of the former."""
    hashes = np.empty(len(labels), np.uint64)
    with tqdm(total=len(labels), desc="hashing keys, once", unit="row", unit_scale=True, delay=_QUIET) as bar:
        for start in range(0, len(labels), _PART):
            part = key_hashes(labels.between(start, start + _PART))
            hashes[start : start + len(part)] = part
            bar.update(len(part))
    ascending = np.sort(hashes)
    repeated = ascending[1:][ascending[1:] == ascending[:-1]]
    digest = blake2b(hashes.astype("<u8", copy=False).data, digest_size=16).hexdigest()
    return np.concatenate([hashes, repeated]), digest
