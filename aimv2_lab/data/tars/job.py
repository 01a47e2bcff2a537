"""One shard to be indexed: what its part is made of, whether there is one already, and making it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.tars.archive import is_compressed, unpack, without_suffix
from aimv2_lab.data.tars.columns import parquet_beside
from aimv2_lab.data.tars.index import PARTS, UNPACKED
from aimv2_lab.data.tars.parts import read_stamp
from aimv2_lab.data.tars.walk import index_shard

PART_VERSION = 2  # raise it when what the index of a shard holds changes: those made before are then made anew


@dataclass(frozen=True)
class ShardJob:
    """What is to be indexed of one shard, and where its part goes.

    The shard's size and time are taken once: what changes later is seen to be another shard.
    """

    root: Path
    name: str
    folder: Path  # of the index
    columns: tuple[str, ...]
    check: bool
    size: int  # bytes
    time: int  # of the last change, nanoseconds

    @classmethod
    def of(cls, root: Path, name: str, folder: Path, columns: tuple[str, ...], check: bool) -> ShardJob:
        """The job for a shard as it is now."""
        return cls(root, name, folder, columns, check, *_size_and_time(root / name))

    @property
    def shard(self) -> Path:
        """The file as it came."""
        return self.root / self.name

    @property
    def part(self) -> Path:
        """Where its index is kept."""
        return self.folder / PARTS / f"{self.name}.npz"

    @property
    def unpacked(self) -> str:
        """Its plain tar's name under unpacked/, another one when its size or time change; empty for a plain shard."""
        return f"{self.name}.{self.size}-{self.time}.tar" if is_compressed(self.shard) else ""

    @property
    def tar(self) -> Path:
        """The plain tar."""
        return self.folder / UNPACKED / self.unpacked if self.unpacked else self.shard

    def stamp(self) -> dict[str, Any]:
        """What a part made now is made of."""
        parquet = parquet_beside(self.shard)
        return {
            "version": PART_VERSION,
            "shard": [self.size, self.time],
            "parquet": _size_and_time(parquet) if self.columns and parquet.exists() else [],
            "columns": list(self.columns),
            "check": self.check,
        }

    def is_done(self) -> bool:
        """Whether there is a part of the shard as it is now, with all that is asked for."""
        made, asked = read_stamp(self.part), self.stamp()
        compared = ("version", "shard", *(["parquet"] if self.columns else []))
        same = all(made.get(name) == asked[name] for name in compared)
        enough = {*self.columns} <= {*made.get("columns", ())} and made.get("check", False) >= self.check
        return same and enough and self.tar.exists()

    def run(self) -> None:
        """Unpack the shard where it must be and index it. Raises as `index_shard`, `unpack` and `with_retries` do."""
        stamp = self.stamp()
        if not self.tar.exists():
            unpack(self.shard, self.tar)
        try:
            part = index_shard(self.tar, self.shard, without_suffix(self.name), self.columns, self.check)
        except DamagedArchive:
            if self.unpacked:  # it would only be kept until the shard is mended
                self.tar.unlink()
            raise
        part.save(self.part, stamp)


def _size_and_time(file: Path) -> list[int]:
    """Bytes and nanoseconds."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
