"""WebDataset shards: tars whose consecutive members with one stem (0001.jpg, 0001.txt, 0001.json) make one pair."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
_BLOCK = 512  # bytes; a tar is made of such blocks and ends with blocks of zeros


class DamagedArchive(ValueError):
    """A tar that ends too early or cannot be read on; names the file and the offset in the (unpacked) tar."""


def walk_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every regular member's name and content, in order.

    Raises DamagedArchive for a tar cut off anywhere, between members too: Python's tarfile, and the loaders built on
    it, take that for the end. A whole tar ends with blocks of zeros, and with them alone.
    """
    offset = 0
    try:
        with _unpacked(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                offset = member.offset
                if member.isfile():
                    content = archive.extractfile(member)
                    yield member.name, content.read() if content else b""
            offset = archive.offset
            stream.seek(offset)
            end = stream.read(_BLOCK)
            rest = _holds_more(stream)
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the file system's errors, not the archive's
            raise
        raise _damaged(path, offset, str(error)) from None
    if end != bytes(_BLOCK):
        raise _damaged(path, offset, "a member's header is damaged" if len(end) == _BLOCK else "no end-of-archive mark")
    if rest:
        raise _damaged(path, offset, "data follow the end-of-archive mark, as where two tars were joined")


def tar_samples(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of one shard: {"key": stem, "names": lower-case extensions, "contents": their bytes}.

    A member's extension begins at the first dot of its file name. Names that begin with a dot are skipped.
    """
    key, members = "", dict[str, bytes]()
    for name, content in walk_tar(path):
        folder, _, file = name.removeprefix("./").rpartition("/")
        stem, _, extension = file.partition(".")
        member_key = f"{folder}/{stem}" if folder else stem
        if not stem or not extension:
            continue
        if members and (member_key != key or extension.lower() in members):
            yield {"key": key, "names": list(members), "contents": list(members.values())}
            members = {}
        key = member_key
        members[extension.lower()] = content
    if members:
        yield {"key": key, "names": list(members), "contents": list(members.values())}


def without_suffix(name: str) -> str:
    """A shard's name without .tar and what follows it."""
    return next((name.removesuffix(suffix) for suffix in TAR_SUFFIXES if name.endswith(suffix)), name)


def _holds_more(stream: BinaryIO) -> bool:
    """Whether anything but zeros is left. Reading to the end also checks the sums at the end of compressed files."""
    found = False
    while content := stream.read(1 << 20):
        found = found or any(content)
    return found


def _unpacked(path: Path) -> BinaryIO:
    if path.suffix in (".gz", ".tgz"):
        return cast(BinaryIO, gzip.open(path))
    if path.suffix in (".xz", ".txz"):
        return cast(BinaryIO, lzma.open(path))
    return path.open("rb")


def _damaged(path: Path, offset: int, why: str) -> DamagedArchive:
    return DamagedArchive(
        f"{path} is truncated or damaged at byte {offset} of the tar ({why}): fetch or write this shard again, or move "
        "it out of the folder"
    )
