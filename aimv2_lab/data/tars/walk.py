"""Making the index of one shard: one walk over the headers of its tar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from aimv2_lab.data.columns import parse_member
from aimv2_lab.data.damage import DamagedPair
from aimv2_lab.data.images import SUFFIXES, check_header
from aimv2_lab.data.shares import key_hash
from aimv2_lab.data.tars.archive import Member, split_name, walk_tar
from aimv2_lab.data.tars.columns import nested_value, parquet_beside, parquet_numbers
from aimv2_lab.data.tars.parts import MEMBER, Damage, Part, PartArrays, PartNotes, check_extensions


def index_shard(tar: Path, shard: Path, prefix: str, columns: Sequence[str], check: bool) -> Part:
    """The index of the shard whose plain tar is `tar` and whose keys begin with `prefix`.

    With `check` the header of every picture is opened, which reads a few KB of it. Numbers named by `columns` come
    from a sample's json, and where that has none from the Parquet file beside the shard. Recorded as damage: members
    of zero bytes, links, pictures that `check_header` refuses, json that cannot be read or holds no finite number where
    a column is (true is 1), and samples whose key an earlier one has. All stay in the index: a run meets those that it
    cannot use, replaces and counts them. Samples of one key are trained on both, as they may be different pairs; they
    are in the same split, and a batch tells them apart by position. Raises DamagedArchive as `walk_tar` does,
    ValueError as `parquet_numbers` does.
    """
    walk = _ShardWalk(prefix, columns, check, parquet_numbers(parquet_beside(shard), columns))
    for member in walk_tar(tar, shard):
        walk.add(member)
    return walk.part()


class _ShardWalk:
    """The samples of a shard so far; the members of the last one may still be coming."""

    def __init__(self, prefix: str, columns: Sequence[str], check: bool, beside: dict[str, dict[str, float]]) -> None:
        self.prefix, self.columns, self.check, self.beside = prefix, columns, check, beside
        self.keys: list[str] = []
        self.counts: list[int] = []
        self.members: list[tuple[int, int, int, int]] = []  # as MEMBER
        self.numbers: list[list[float]] = []
        self.damage: list[Damage] = []
        self.passed_over = 0
        self._extensions: dict[str, int] = {}
        self._seen: set[str] = set()
        self._names: set[str] = set()  # of the last sample

    def add(self, member: Member) -> None:
        stem, extension = split_name(member.name)
        if not stem or not extension:
            self.passed_over += 1
            return
        if not self.keys or self.keys[-1] != f"{self.prefix}/{stem}" or extension in self._names:
            self._begin(stem)
        self._names.add(extension)
        if member.kind:
            self._note(extension, f"no regular file: {member.kind}")
            return
        self.counts[-1] += 1
        if extension not in self._extensions:
            self._extensions[extension] = len(self._extensions)
            check_extensions(self._extensions, self.prefix)
        self.members.append((member.offset, member.size, member.header_sum, self._extensions[extension]))
        self._look_into(extension, member)

    def _begin(self, stem: str) -> None:
        key = f"{self.prefix}/{stem}"
        row = self.beside.get(stem, {})
        self.keys.append(key)
        self.counts.append(0)
        self.numbers.append([row.get(column, math.nan) for column in self.columns])
        self._names.clear()
        if key in self._seen:
            self._note("", "duplicate key: an earlier sample of the shard has it too")
        self._seen.add(key)

    def _look_into(self, extension: str, member: Member) -> None:
        try:
            if not member.size:
                self._note(extension, "zero bytes")
            elif extension == "json" and self.columns:
                self._take_numbers(_opened(member).read())
            elif extension in SUFFIXES and self.check:
                check_header(_opened(member), self.keys[-1])
        except DamagedPair as damage:
            self._note(extension, damage.reason)

    def _take_numbers(self, content: bytes) -> None:
        about = parse_member("json", content, self.keys[-1])
        for place, column in enumerate(self.columns):
            value = nested_value(about, column)
            if value is None:
                continue
            number = _as_number(value)
            if math.isfinite(number):
                self.numbers[-1][place] = number
            else:
                self._note("json", f"no number: {column} holds {type(value).__name__} {value!r:.40}")

    def _note(self, extension: str, reason: str) -> None:
        self.damage.append(Damage(self.keys[-1], extension, reason))

    def part(self) -> Part:
        keys = [key.encode("utf-8", "surrogatepass") for key in self.keys]
        members = np.zeros(len(self.members), dtype=MEMBER)  # zeros between the fields too, for the part's hash
        members[:] = self.members
        arrays = PartArrays(
            counts=np.array(self.counts, dtype=np.uint16),
            key_hashes=np.array([key_hash(key) for key in self.keys], dtype=np.uint64),
            key_bytes=np.frombuffer(b"".join(keys), dtype=np.uint8),
            key_ends=np.cumsum([len(key) for key in keys], dtype=np.uint64),
            members=members,
        )
        numbers = np.array(self.numbers, dtype=np.float64).reshape(len(keys), len(self.columns))
        columns = {name: numbers[:, place] for place, name in enumerate(self.columns)}
        lengths = (len(keys), len(self.members), arrays.key_bytes.size)
        return Part(arrays, columns, PartNotes(*lengths, list(self._extensions), self.damage, self.passed_over))


def _as_number(value: Any) -> float:
    """The number that a JSON value is: NaN for what is none, infinity for one that float64 cannot hold."""
    try:
        return float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:
        return math.inf


def _opened(member: Member) -> IO[bytes]:
    content = member.open()
    assert content is not None  # walk_tar names the kind of what cannot be opened
    return content
