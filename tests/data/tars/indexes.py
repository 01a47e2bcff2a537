"""Describe the indexes that tests make."""

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from aimv2_lab.data.tars.archive import tar_files
from aimv2_lab.data.tars.index import TarIndex
from tests.data.generated import sample, write_shard, write_tar


def taken(walked: list[str]) -> list[str]:
    """What was walked since the last call."""
    names = walked[:]
    walked.clear()
    return names


def shards(folder: Path, count: int = 3, size: int = 4, suffix: str = ".tar") -> Path:
    for number in range(count):
        write_shard(folder / f"{number:05d}{suffix}", range(number * size, (number + 1) * size))
    return folder


def described(index: TarIndex) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    """Key, and extension -> (offset, size), of every sample."""
    found = []
    for number, entry in enumerate(index.samples):
        members = index.members[entry["first_member"] : entry["first_member"] + entry["members"]]
        names = [index.manifest.extensions[member["extension"]] for member in members]
        places = [(int(member["offset"]), int(member["size"])) for member in members]
        found.append((index.key(number), dict(zip(names, places, strict=True))))
    return found


def by_tarfile(folder: Path) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    """The same, by Python's own reader."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for shard in tar_files(folder):
        with tarfile.open(shard) as tar:
            for member in tar:
                stem, _, extension = member.name.partition(".")
                key = f"{shard.name.partition('.')[0]}/{stem}"
                found.setdefault(key, {})[extension] = (member.offset_data, member.size)
    return list(found.items())


def damage(index: TarIndex) -> list[tuple[str, str, str]]:
    return [(found.key, found.member, found.reason) for found in index.damage()]


def with_sizes(folder: Path, sizes: Mapping[int, object]) -> Path:
    """A shard whose samples have `size` in their json."""
    samples = {f"{number:08d}": sample(number) | {"json": as_json({"size": size})} for number, size in sizes.items()}
    return write_tar(folder / "sized.tar", samples)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def column(index: TarIndex, name: str) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in index.column(name)]
