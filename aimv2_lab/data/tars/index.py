"""An index of WebDataset shards, mapped into memory: where every member of every sample lies, and under which key.

An index folder holds

    manifest.json   the shards with their sizes and hashes, the extensions, the fingerprint, and the name of
    arrays-…/       samples.npy, members.npy, key_bytes.npy, key_ends.npy, columns/NAME.npy and damage.jsonl
    parts/…         the index of every shard alone, used again where only some of the shards are new
    unpacked/…      plain tars of the compressed shards

A shard is known by its name and size, and in parts/ by the time of its last change too (see `open_index`).

A new index gets a new folder of arrays, and manifest.json is replaced last: whoever reads meanwhile sees the old index
or the new one. The format is our choice, after Megatron-Energon's and DALI's index per tar.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from aimv2_lab.data.columns import MissingColumn
from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.files import root_of
from aimv2_lab.data.reading import with_retries
from aimv2_lab.data.tars.archive import tar_files
from aimv2_lab.data.tars.parts import Damage

FORMAT_VERSION = 1  # raise it when what an index holds changes: older ones are then made anew
MANIFEST, DAMAGE, COLUMNS, PARTS, UNPACKED = "manifest.json", "damage.jsonl", "columns", "parts", "unpacked"
# First member of a sample among all and how many it has; the hash that says what is held out; the shard's number.
SAMPLE = np.dtype([("first_member", "<u8"), ("key_hash", "<u8"), ("shard", "<u4"), ("members", "<u2")], align=True)
_SHOWN = 5  # shards named in a message; our choice
_INDEX_NAME = ".aimv2_lab_index"


class StaleIndex(DamagedArchive):
    """Shards that are not those that were indexed; the message names the command that indexes again."""


@dataclass(frozen=True)
class Shard:
    """One shard of an index: `name` and `bytes` of the file in the data folder, which hold for compressed ones too."""

    name: str  # relative to the data folder
    bytes: int
    unpacked: str  # the plain tar of a compressed shard, relative to unpacked/; empty for a plain one
    tar_bytes: int  # of the plain tar
    first: int  # its first sample's number
    samples: int
    pairs: str  # hash of the keys, extensions and sizes
    part: str  # hash of all that the index holds of it


@dataclass(frozen=True)
class Manifest:
    """What an index says of itself."""

    version: int
    fingerprint: str  # of all shards' names, keys, extensions and sizes
    shards: tuple[Shard, ...]
    samples: int
    members: int
    key_bytes: int
    extensions: tuple[str, ...]
    columns: tuple[str, ...]
    checked: bool  # whether headers of pictures were looked at
    damaged: int
    passed_over: int  # members that belong to no sample
    arrays: str  # name of the folder that holds them

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of an index folder; None where there is none of this version that can be read."""
        try:
            stored = json.loads(with_retries((folder / MANIFEST).read_text, str(folder / MANIFEST)))
            if stored["version"] != FORMAT_VERSION:
                return None
            named = stored | {name: tuple(stored[name]) for name in ("extensions", "columns")}
            return cls(**named | {"shards": tuple(Shard(**shard) for shard in stored["shards"])})
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return None

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), indent=1)


@dataclass(frozen=True)
class TarIndex:
    """The index in `folder` of a folder of shards, or of one, `data`. Arrays are mapped, in every process anew."""

    data: Path
    folder: Path
    manifest: Manifest

    @cached_property
    def samples(self) -> np.ndarray:
        """(S,) SAMPLE."""
        return self._mapped("samples.npy", self.manifest.samples)

    @cached_property
    def members(self) -> np.ndarray:
        """(M,) MEMBER."""
        return self._mapped("members.npy", self.manifest.members)

    @cached_property
    def key_bytes(self) -> np.ndarray:
        """All keys in UTF-8, uint8, one after the other."""
        return self._mapped("key_bytes.npy", self.manifest.key_bytes)

    @cached_property
    def key_ends(self) -> np.ndarray:
        """(S,) uint64, where in `key_bytes` each key ends."""
        return self._mapped("key_ends.npy", self.manifest.samples)

    def column(self, name: str) -> np.ndarray:
        """The numbers (S,) float64 of a column, NaN where a sample has none; raises MissingColumn with those there
        are."""
        if name not in self.manifest.columns:
            raise MissingColumn(
                f"the index of {self.data} has the columns {', '.join(self.manifest.columns) or '(none)'}, not {name}: "
                f"run {index_command(self.data, [*self.manifest.columns, name])}"
            )
        return self._mapped(f"{COLUMNS}/{name}.npy", self.manifest.samples)

    def key(self, sample: int) -> str:
        """The key of a sample."""
        start = int(self.key_ends[sample - 1]) if sample else 0
        return self.key_bytes[start : int(self.key_ends[sample])].tobytes().decode("utf-8", "surrogatepass")

    @cached_property
    def tars(self) -> list[Path]:
        """The plain tars that the shards' members are read from."""
        root, unpacked = root_of(self.data), self.folder / UNPACKED
        return [unpacked / shard.unpacked if shard.unpacked else root / shard.name for shard in self.manifest.shards]

    def damage(self) -> Iterator[Damage]:
        """What was found damaged, shard by shard."""
        with (self.folder / self.manifest.arrays / DAMAGE).open() as lines:
            for line in lines:
                yield Damage(**json.loads(line))

    def check_arrays(self) -> None:
        """Raise StaleIndex where a file of the index is missing or has another length than the manifest says."""
        for array in ("samples", "members", "key_bytes", "key_ends"):
            getattr(self, array)
        for column in self.manifest.columns:
            self.column(column)

    def again(self) -> str:
        """What to do where the index no longer holds."""
        return f"index again with {index_command(self.data, self.manifest.columns)}"

    def _mapped(self, name: str, length: int) -> np.ndarray:
        file = self.folder / self.manifest.arrays / name
        try:
            mapped = with_retries(lambda: np.load(file, mmap_mode="r"), str(file))
            array = np.asarray(mapped)  # without memmap's slow indexing
        except (OSError, ValueError) as error:
            raise StaleIndex(f"{file} cannot be mapped ({error}): {self.again()}") from None
        if len(array) != length:
            raise StaleIndex(f"{file} has {len(array)} rows, the manifest says {length}: {self.again()}")
        return array

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}


def shards_fingerprint(shards: Sequence[Shard]) -> str:
    """Hex digest that changes with the keys (of which shards' names are part), extensions, sizes and their order."""
    return blake2b("\n".join(shard.pairs for shard in shards).encode(), digest_size=16).hexdigest()


def index_folder(data: Path, building: bool = False) -> Path:
    """Where the index of a folder of shards, or of one tar, lies: beside the data, hidden, where that can be written.

    Else an index that is beside them already; else, and always for `building` one there, a folder in the user's cache
    ($XDG_CACHE_HOME or ~/.cache) named by a hash of the data's absolute path.
    """
    beside = data / _INDEX_NAME if data.is_dir() else data.with_name(f".{data.name}{_INDEX_NAME}")
    if os.access(beside if beside.exists() else beside.parent, os.W_OK):
        return beside
    absolute = data.resolve()
    digest = blake2b(os.fsencode(absolute), digest_size=8).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cached = cache / "aimv2_lab" / f"index-{absolute.name}-{digest}"
    given = (beside / MANIFEST).exists() and not (cached / MANIFEST).exists()
    return beside if given and not building else cached


def index_command(data: Path, columns: Sequence[str] = ()) -> str:
    """The command that indexes shards."""
    more = ["--columns", ",".join(columns)] if columns else []
    return shlex.join(["python", "-m", "aimv2_lab.launch.index", str(data), *more])


def shard_sizes(data: Path) -> dict[str, int]:
    """The shards that lie in a folder, or the one tar: name -> bytes; raises ValueError as `tar_files` does."""
    shards = with_retries(lambda: tar_files(data), str(data))
    sizes = {shard: with_retries(shard.stat, str(shard)).st_size for shard in shards}
    return {shard.relative_to(root_of(data)).as_posix(): size for shard, size in sizes.items()}


def shards_to_index(index: TarIndex, found: Mapping[str, int]) -> list[str]:
    """Those of the shards `found`, name -> bytes, that an index lacks: new ones, and unpacked ones that are gone.

    Raises StaleIndex for shards that are missing or have another size than they had.
    """
    wrong = []
    for shard in index.manifest.shards:
        there = f"has {found[shard.name]} bytes" if shard.name in found else "is missing"
        if found.get(shard.name) != shard.bytes:
            wrong.append(f"{shard.name} {there}; it had {shard.bytes} bytes when it was indexed")
    if wrong:
        raise StaleIndex(f"{index.data}: {first_of(wrong)}. Fetch what is damaged, or {index.again()}")
    pairs = zip(index.manifest.shards, index.tars, strict=True)
    known = {shard.name for shard, tar in pairs if not shard.unpacked or _has_size(tar, shard.tar_bytes)}
    return [name for name in found if name not in known]


def _has_size(file: Path, size: int) -> bool:
    return file.exists() and file.stat().st_size == size


def first_of(names: Sequence[str]) -> str:
    """The first few of many, for a message."""
    return "; ".join(names[:_SHOWN]) + (f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
