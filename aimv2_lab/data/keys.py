"""Keys of rows that no index names: each is made or read when it is asked for, and their hashes are kept on disk."""

from __future__ import annotations

import json
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
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
    """The unique key of every row: its label, with the row's number after it where labels repeat.

    `hashes` (N,) uint64 are of the labels, so that rows of one label, captions of one picture perhaps, are held out
    together. `fingerprint` changes with the labels and their order.
    """

    labels: Labels
    hashes: np.ndarray
    unique: bool
    fingerprint: str

    @classmethod
    def of(cls, *candidates: Labels) -> RowKeys:
        """Keys by the first labels that are unique, else by the last with the rows' numbers.

        Labels are taken to repeat where their 64-bit hashes do. Hashes are made once, in a minute for 30 million rows,
        and kept in HF's cache; then they are mapped into memory.
        """
        for labels in candidates:
            keys = cls._kept(labels)
            if keys.unique:
                break
        return keys

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> str:
        """The key of a row; raises IndexError."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of a table of {len(self)}")
        label = self.labels.between(row, row + 1)[0]
        return label if self.unique else f"{label}/{row:08d}"

    @classmethod
    def _kept(cls, labels: Labels) -> RowKeys:
        """Keys with the hashes in the cache, which are put there first where they are not.

        The file's name says what they were made of and what was found, so that there is all of it or nothing.
        """
        made_of = labels.made_of()
        if made_of is None:
            return cls(labels, *_hashed(labels))
        folder = Path(datasets.config.HF_DATASETS_CACHE) / "aimv2_lab"
        about = blake2b(f"{_VERSION} {type(labels).__name__} {made_of}".encode(), digest_size=16).hexdigest()
        for file in folder.glob(f"{about}-*.npy"):
            _, found, fingerprint = file.stem.split("-")
            return cls(labels, np.load(file, mmap_mode="r"), found == "unique", fingerprint)
        hashes, unique, fingerprint = _hashed(labels)
        with suppress(OSError):  # in a cache that cannot be written nothing is kept, and time is all that costs
            target = folder / f"{about}-{'unique' if unique else 'repeated'}-{fingerprint}.npy"
            with written_aside(target) as aside, aside.open("wb") as stream:
                np.save(stream, hashes)
        return cls(labels, hashes, unique, fingerprint)


def _hashed(labels: Labels) -> tuple[np.ndarray, bool, str]:
    """The hashes of labels (N,) uint64, whether they are unique, and their digest."""
    hashes = np.empty(len(labels), np.uint64)
    with tqdm(total=len(labels), desc="hashing keys, once", unit="row", unit_scale=True, delay=_QUIET) as bar:
        for start in range(0, len(labels), _PART):
            part = key_hashes(labels.between(start, start + _PART))
            hashes[start : start + len(part)] = part
            bar.update(len(part))
    ascending = np.sort(hashes)
    unique = not bool((ascending[1:] == ascending[:-1]).any())
    return hashes, unique, blake2b(hashes.astype("<u8", copy=False).data, digest_size=16).hexdigest()
