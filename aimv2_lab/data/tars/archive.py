"""WebDataset shards: tars whose consecutive members with one stem (0001.jpg, 0001.txt, 0001.json) make one pair."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any, BinaryIO

import pyarrow

from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.files import visible_files, written_aside

# What opens a shard whose name ends so, to be unpacked; pyarrow has codecs that Python lacks.
_OPENERS: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys((".tar.gz", ".tgz"), gzip.open),
    **dict.fromkeys((".tar.xz", ".txz"), lzma.open),
    **dict.fromkeys((".tar.bz2", ".tbz2", ".tbz"), bz2.open),
    **dict.fromkeys((".tar.zst", ".tzst"), partial(pyarrow.input_stream, compression="zstd")),
    **dict.fromkeys((".tar.lz4", ".tlz4"), partial(pyarrow.input_stream, compression="lz4")),
}
TAR_SUFFIXES = (".tar", *_OPENERS)
_UNREADABLE = re.compile(r"\.(tar\.(lzma|lz|lzo|lrz|z|br|sz|zip|7z|rar)|tlz|taz)$", re.IGNORECASE)
HEADER_BYTES = 512  # a tar is made of blocks of so many bytes: one is a member's header; blocks of zeros end the tar
_ARCHIVE_ERRORS = (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error)


@dataclass(frozen=True)
class Member:
    """What a tar holds at one place: a regular file, or else (`kind`) a link or a device.

    `offset` and `size` are those of the content, in bytes; `header_sum` is a CRC-32 of the header before it.
    """

    name: str
    offset: int
    size: int
    header_sum: int
    kind: str
    open: Callable[[], IO[bytes] | None]


@dataclass(frozen=True)
class TarSample:
    """One sample of a shard: its key, the stem of its members, and these by lower-case extension."""

    key: str
    members: Mapping[str, Member]


def tar_files(path: Path) -> list[Path]:
    """The shards of a folder in order, or the one that `path` is; those whose names begin with a dot are passed over.

    Raises ValueError for two that would give the same pairs, as a shard beside its compressed copy or a link to it, for
    tars of a compression that is not read, and what `visible_files` does.
    """
    files = visible_files(path)
    if unreadable := [file for file in files if _UNREADABLE.search(file.name)]:
        raise ValueError(
            f"{unreadable[0]} has a compression that is not read ({len(unreadable)} such files); these are: "
            f"{', '.join(TAR_SUFFIXES)}. Pack it anew, or move it out of the folder"
        )
    shards = [file for file in files if file.name.lower().endswith(TAR_SUFFIXES) and file.is_file()]
    keys, places = dict[str, Path](), dict[Path, Path]()
    real_folder = lru_cache(Path.resolve)
    for shard in shards:
        if (other := keys.setdefault(without_suffix(str(shard)), shard)) is not shard:
            raise ValueError(f"{other} and {shard.name} would give pairs of the same keys: move one out of the folder")
        real = shard.resolve() if shard.is_symlink() else real_folder(shard.parent) / shard.name
        if (other := places.setdefault(real, shard)) is not shard:
            raise ValueError(f"{other} and {shard} are one file, whose pairs would be there twice: remove one of them")
    return shards


def is_compressed(shard: Path) -> bool:
    """Whether a shard must be unpacked before its members can be read one by one."""
    return not shard.name.lower().endswith(".tar")


def without_suffix(name: str) -> str:
    """A shard's name without .tar and what follows it, in whatever case."""
    return name[: len(name) - len(_suffix(name))]


def unpack(shard: Path, target: Path) -> None:
    """Decompress a shard to the plain tar `target`, which is there whole or not at all; raises DamagedArchive."""
    with written_aside(target) as aside, aside.open("wb") as tar:
        try:
            with _OPENERS[_suffix(shard.name)](shard) as packed:
                shutil.copyfileobj(packed, tar, 1 << 20)
        except _ARCHIVE_ERRORS as error:
            _raise_damage(shard, tar.tell(), error)


def walk_tar(tar: Path, shard: Path | None = None) -> Iterator[Member]:
    """Every member but folders, in order; their contents can be opened until the next one is asked for.

    Messages name `shard` where that is not the tar itself. Raises DamagedArchive for a tar cut off anywhere, between
    members too: Python's tarfile, and the loaders built on it, take that for the end. A whole tar ends with blocks of
    zeros, and with them alone.
    """
    shard = shard or tar
    offset = 0
    try:
        with tar.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            whole = os.fstat(file.fileno()).st_size
            for info in archive:
                offset = info.offset
                if info.issparse():
                    raise tarfile.ReadError(f"{info.name} is stored as a sparse file, which cannot be addressed")
                if info.isfile() and info.offset_data + info.size > whole:
                    raise tarfile.ReadError(f"unexpected end of data in {info.name}")
                if not info.isdir():
                    yield _member(archive, file, info)
            offset = archive.offset
            file.seek(offset)
            end = file.read(HEADER_BYTES)
            rest = _holds_more(file)
    except _ARCHIVE_ERRORS as error:
        _raise_damage(shard, offset, error)
    if end != bytes(HEADER_BYTES):
        header = len(end) == HEADER_BYTES
        raise _damaged(shard, offset, "a member's header is damaged" if header else "no end-of-archive mark")
    if rest:
        raise _damaged(shard, offset, "data follow the end-of-archive mark, as where two tars were joined")


def split_name(name: str) -> tuple[str, str]:
    """A member's key and lower-case extension, which begins at the first dot of its file name.

    Either is empty where the member belongs to no sample: for hidden files and those without an extension.
    """
    folder, _, file = name.removeprefix("./").rpartition("/")
    stem, _, extension = file.partition(".")
    if not stem:
        return "", extension.lower()
    return f"{folder}/{stem}" if folder else stem, extension.lower()


def _suffix(name: str) -> str:
    """The one of TAR_SUFFIXES that a name ends with; empty where it ends with none."""
    return next((suffix for suffix in TAR_SUFFIXES if name.lower().endswith(suffix)), "")


def _member(archive: tarfile.TarFile, file: BinaryIO, info: tarfile.TarInfo) -> Member:
    file.seek(info.offset_data - HEADER_BYTES)
    header_sum = zlib.crc32(file.read(HEADER_BYTES))
    kind = "" if info.isfile() else f"link to {info.linkname}" if info.linkname else "device"
    return Member(info.name, info.offset_data, info.size, header_sum, kind, partial(archive.extractfile, info))


def _holds_more(stream: BinaryIO) -> bool:
    """Whether anything but zeros is left."""
    while content := stream.read(1 << 20):
        if any(content):
            return True
    return False


def _raise_damage(shard: Path, offset: int, error: Exception) -> None:
    """Raise what an error says about the archive; the file system's own errors as they are."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    raise _damaged(shard, offset, str(error)) from None


def _damaged(shard: Path, offset: int, why: str) -> DamagedArchive:
    return DamagedArchive(
        f"{shard} is truncated or damaged at byte {offset} of the tar ({why}): fetch or write this shard again, or "
        "move it out of the folder"
    )
