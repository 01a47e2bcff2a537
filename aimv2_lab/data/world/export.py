"""The generated world as files, in every layout that the readers take, with damage planted where it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Literal

from aimv2_lab.data.world.planted import COPYING, Damage, cut_shard, damaged
from aimv2_lab.data.world.samples import world_sample
from aimv2_lab.data.world.scene import generator
from aimv2_lab.data.world.settings import world_settings
from aimv2_lab.data.writers import Sample, write_arrow, write_imagefolder, write_img2dataset, write_parquet

PLANTED = "planted.jsonl"
_DAMAGE_STREAM = 2**32  # far from the captions' streams, of which there may be many
_WRITERS = {"webdataset": write_img2dataset, "parquet": write_parquet, "imagefolder": write_imagefolder}


@dataclass(frozen=True)
class WorldExport:
    """What is written where. Raises ValueError for numbers out of range and for damage that a layout cannot have."""

    folder: Path
    """Where the files go; it must be empty or absent."""
    layout: Literal["webdataset", "parquet", "imagefolder", "arrow"] = "webdataset"
    """Tars as img2dataset writes them, Parquet, pictures with metadata.jsonl, or Arrow (datasets.save_to_disk)."""
    world: str = "rich"
    """The preset of the generated world."""
    pairs: int = 10_000
    """How many scenes, from the split's first on."""
    shard_size: int = 1_000
    """Pairs in a tar, a Parquet file or a folder of pictures; so many are held in memory at most."""
    split: str = "train"
    """Which of the world's scenes: train, validation or heldout."""
    seed: int = 0
    """The world's seed; 0 is the one that world:PRESET trains on."""
    size: int = 64
    """Side of the pictures in pixels."""
    damage: Damage = field(default_factory=Damage)

    def __post_init__(self) -> None:
        world_settings(self.world)
        generator(self.seed, self.split, 0)
        for name in ("pairs", "shard_size", "size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; it must be at least 1")
        if self.layout != "webdataset" and (self.damage.failed_download or self.damage.truncated_shards):
            raise ValueError(f"layout {self.layout} has no failed downloads and no tars to cut off; webdataset has")
        for number in (*self.damage.shards, *self.damage.truncated_shards):
            if not -self.shards <= number < self.shards:
                raise ValueError(f"damage is asked for in shard {number}; there are {self.shards}, counted from 0")

    @property
    def shards(self) -> int:
        """How many shards the pairs fill."""
        return -(-self.pairs // self.shard_size)

    def shard(self, number: int) -> range:
        """The indices of a shard's pairs."""
        return range(number * self.shard_size, min((number + 1) * self.shard_size, self.pairs))

    def sample(self, index: int) -> Sample:
        """The undamaged pair, with the names that web-scale sets give it.

        The key is the shard's number in five digits and the place in it, as img2dataset makes them; `about` also holds
        a 128-bit uid, a url under a reserved domain, and the picture's sha256.
        """
        made = world_sample(self.world, self.seed, self.split, index, self.size)
        assert made.jpeg is not None
        shard, place = divmod(index, self.shard_size)
        name = f"{self.world}/{self.split}/{self.seed}/{index:08d}"
        names = {
            "uid": blake2b(name.encode(), digest_size=16).hexdigest(),
            "url": f"https://world.invalid/{name}.jpg",
            "sha256": sha256(made.jpeg).hexdigest(),
        }
        return replace(made, key=f"{shard:05d}{place:0{len(str(self.shard_size - 1))}d}", about=names | made.about)

    def kind(self, index: int) -> str:
        """The damage planted in a pair, empty for none: a function of the shares and (seed, split, index) alone."""
        chosen = {number % self.shards for number in self.damage.shards}
        if chosen and index // self.shard_size not in chosen:
            return ""
        return self.damage.kind(generator(self.seed, self.split, index, _DAMAGE_STREAM))


def export_world(export: WorldExport) -> int:
    """Write all pairs, and planted.jsonl with a line for every damaged one; returns the number of its lines.

    A line holds the `key` that the pair was written under and the `kind` of damage; also the scene's `index`, and
    `of`, the key of the other pair, where there is one. Raises FileExistsError where the folder holds anything, and
    ValueError where a pair is to be like an undamaged one and none is left.
    """
    if export.folder.exists() and any(export.folder.iterdir()):
        raise FileExistsError(f"{export.folder} is not empty: name another folder, or clear this one first")
    export.folder.mkdir(parents=True, exist_ok=True)
    planted = _Planted(export.folder / PLANTED)
    if export.layout == "arrow":
        settings = world_settings(export.world).fingerprint
        about = json.dumps([settings, asdict(replace(export, folder=Path()))], default=str)
        write_arrow(export.folder, _samples(export, range(export.pairs), planted), export.shards, about)
        return planted.lines
    cut = {number % export.shards for number in export.damage.truncated_shards}
    for number in range(export.shards):
        samples = _samples(export, export.shard(number), planted)
        path = _WRITERS[export.layout](export.folder, f"{number:05d}", samples)
        for key in cut_shard(path) if number in cut else ():
            planted.add(key=key, kind="truncated_shard")
    return planted.lines


class _Planted:
    """Writes what was planted, line by line; no file where nothing was."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, 0

    def add(self, **line: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.lines += 1


def _samples(export: WorldExport, indices: range, planted: _Planted) -> Iterator[Sample]:
    for index in indices:
        sample, kind = export.sample(index), export.kind(index)
        if kind:
            draw = generator(export.seed, export.split, index, _DAMAGE_STREAM + 1)
            other = export.sample(_other(export, index, kind, int(draw.integers(2**62)))) if kind in COPYING else None
            sample = damaged(kind, sample, draw, other)
            of = {"of": other.key} if other else {}
            planted.add(key=sample.key, kind=kind, index=index, **of)
        yield sample


def _other(export: WorldExport, index: int, kind: str, number: int) -> int:
    """The undamaged pair that pair `index` is made like: the first from a drawn place on, around the end.

    A duplicate key comes from the same shard, the only place where a loader meets both.
    """
    near = export.shard(index // export.shard_size) if kind == "duplicate_key" else range(export.pairs)
    for step in range(len(near)):
        other = near[(number + step) % len(near)]
        if other != index and not export.kind(other):
            return other
    raise ValueError(f"{kind} in pair {index} needs an undamaged pair, and none of {len(near)} is: plant less")
