"""Samples of WebDataset shards by number, read member by member from where the index says they are."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from aimv2_lab.data.columns import nested_names, parse_member
from aimv2_lab.data.damage import DamagedCaption
from aimv2_lab.data.files import root_of
from aimv2_lab.data.reading import PieceReader
from aimv2_lab.data.shares import shares_of
from aimv2_lab.data.tars.archive import HEADER_BYTES
from aimv2_lab.data.tars.index import StaleIndex, TarIndex, shards_fingerprint
from aimv2_lab.data.tars.indexing import open_index

PREVIEWED = 100  # samples looked at for the names of their members and in their json; our choice
_GAP = 1 << 18  # bytes; members no farther apart are read together; our choice


@dataclass(frozen=True)
class IndexedRows:
    """Samples of those shards of an index whose numbers are in `shards`; fields are members' bytes by extension.

    With `wanted`, only members of these extensions are read. Implements Rows. Processes share nothing but what was
    opened before they forked; a pickled copy opens its files anew.
    """

    index: TarIndex
    shards: tuple[int, ...]
    names: list[str]
    wanted: frozenset[str] | None = None

    @classmethod
    def open(cls, files: Collection[Path], data: Path) -> IndexedRows:
        """The samples of the shards `files` of the folder `data`, or of the one tar; raises as `open_index` does."""
        index = open_index(data)
        chosen = {file.relative_to(root_of(data)).as_posix() for file in files}
        shards = tuple(number for number, shard in enumerate(index.manifest.shards) if shard.name in chosen)
        rows = cls(index, shards, [])
        return replace(rows, names=rows._preview())

    def __len__(self) -> int:
        return int(self.shard_ends[-1]) if self.shards else 0

    def key(self, row: int) -> str:
        """Shard, folder and stem of a sample; raises IndexError."""
        return self.index.key(self.sample(row))

    @property
    def shares(self) -> np.ndarray:
        """(N,) float64, as `shares_of` has them."""
        return shares_of(self._of_rows(self.index.samples["key_hash"]))

    @property
    def fingerprint(self) -> str:
        """Changes with keys, extensions, sizes and their order."""
        return shards_fingerprint([self.index.manifest.shards[number] for number in self.shards])

    def only(self, columns: Collection[str]) -> IndexedRows:
        """The same rows with the members needed for these columns alone, so that no other is read."""
        return replace(self, wanted=frozenset(chain(columns, (column.partition(".")[0] for column in columns))))

    def numbers(self, columns: Sequence[str]) -> pa.Table:
        """Columns (N,) float64 of the index; raises MissingColumn, with the command that adds it."""
        return pa.table({column: self._of_rows(self.index.column(column)) for column in columns})

    def _of_rows(self, of_samples: np.ndarray) -> np.ndarray:
        """What the index has of all samples, for these rows."""
        parts = [self.index.manifest.shards[number] for number in self.shards]
        return np.concatenate([of_samples[:0], *(of_samples[part.first : part.first + part.samples] for part in parts)])

    def sample(self, row: int) -> int:
        """The number in the index of a row; raises IndexError."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {self.index.data}, which has {len(self)}")
        place = int(np.searchsorted(self.shard_ends, row, side="right"))
        before = int(self.shard_ends[place - 1]) if place else 0
        return self.index.manifest.shards[self.shards[place]].first + row - before

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The members of a row.

        Raises DamagedArchive where its shard ends too early, StaleIndex where another member lies at its place, OSError
        as `with_retries` does.
        """
        tar, members = self._members(index)
        contents = dict[str, Any]()
        for run in _runs(members):
            start = run[0].offset - HEADER_BYTES
            piece = self._reader.read(tar, start, run[-1].offset + run[-1].size - start)
            for member in run:
                place = member.offset - start
                if zlib.crc32(piece[place - HEADER_BYTES : place]) != member.header_sum:
                    raise StaleIndex(
                        f"{tar} at byte {member.offset} does not hold the {member.extension} that was indexed there, "
                        f"so it was written anew: {self.index.again()}"
                    )
                contents[member.extension] = piece[place : place + member.size]
        return contents

    def _members(self, row: int) -> tuple[Path, list[_Indexed]]:
        """The tar of a row and those of its members that are wanted."""
        first, _, shard, count = self.index.samples[self.sample(row)].item()
        extensions = self.index.manifest.extensions
        members = [
            _Indexed(extensions[extension], offset, size, header_sum)
            for offset, size, header_sum, extension in self.index.members[first : first + count].tolist()
            if self.wanted is None or extensions[extension] in self.wanted
        ]
        return self.index.tars[shard], members

    @cached_property
    def shard_ends(self) -> np.ndarray:
        """(shards,) int64, the row after the last of every shard."""
        return np.cumsum([self.index.manifest.shards[number].samples for number in self.shards], dtype=np.int64)

    @cached_property
    def _reader(self) -> PieceReader:
        return PieceReader()

    def _preview(self) -> list[str]:
        """The names of the members of the first rows, with the names in those that are json."""
        names = dict[str, None]()
        for row in range(min(PREVIEWED, len(self))):
            extensions = [member.extension for member in self._members(row)[1]]
            texts = replace(self, wanted=frozenset(name for name in extensions if name.rpartition(".")[2] == "json"))
            contents = texts[row]
            for name in extensions:
                names.update(dict.fromkeys(_inner_names(name, contents[name]) if name in contents else [name]))
        return list(names)

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}


class _Indexed(NamedTuple):
    """One member, as the index has it."""

    extension: str
    offset: int
    size: int
    header_sum: int


def _runs(members: Sequence[_Indexed]) -> list[list[_Indexed]]:
    """Members in groups that are read together: those of one sample lie side by side."""
    runs = list[list[_Indexed]]()
    for member in members:
        if runs and member.offset - runs[-1][-1].offset - runs[-1][-1].size <= _GAP:
            runs[-1].append(member)
        else:
            runs.append([member])
    return runs


def _inner_names(name: str, content: bytes) -> list[str]:
    try:
        return nested_names(name, parse_member(name, content, name))
    except DamagedCaption:
        return [name]
