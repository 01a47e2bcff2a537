"""Small helpers for files: what a folder shows, and writing whole files and folders or none."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

WRITING, OLD = "writing-", "old-"  # what begins the names of what is being written, and removed
UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".temp", ".aria2", ".crdownload", ".download", ".incomplete")


def visible_files(path: Path) -> list[Path]:
    """The files under a folder, at any depth and in order, or the file that `path` is; without hidden names.

    Links are followed. Raises FileNotFoundError for one that leads nowhere, and ValueError for one that leads to a
    folder that is walked already, whose files would be there twice, and for what a download left unfinished.
    """
    if path.is_dir():
        real = path.resolve()
        files = sorted(_walked(path, dict.fromkeys([real, *real.parents], path)))
    else:
        files = [path]
    if unfinished := [file for file in files if file.name.lower().endswith(UNFINISHED)]:
        raise ValueError(
            f"{unfinished[0]} is a download that was not finished ({len(unfinished)} such files): fetch it to its end, "
            "or move it out of the folder"
        )
    return files


def _walked(folder: Path, reached: dict[Path, Path]) -> Iterator[Path]:
    """The files under a folder; `reached` holds under which name each real folder was met, the root's parents too."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name)):
            if entry.name.startswith("."):
                continue
            place = folder / entry.name
            if entry.is_symlink():
                _refuse_dangling(place)
            if not entry.is_dir():
                yield place
                continue
            real = place.resolve()
            other = reached.setdefault(real, place)
            if other is not place:
                raise ValueError(
                    f"{place} leads to {real}, whose files are read by {other} already: remove one of the two"
                )
            yield from _walked(place, reached)


def _refuse_dangling(link: Path) -> None:
    try:
        link.stat()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        raise FileNotFoundError(
            f"{link} is a link to {os.readlink(link)}, where nothing is: fetch or mount what it leads to, or remove it"
        ) from None


def root_of(path: Path) -> Path:
    """What the names of data files are relative to: the folder, or that of the one file."""
    return path if path.is_dir() else path.parent


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """A name to write a file under, which becomes `target` at the end, or goes where the body raises.

    Whoever is killed in between leaves no half `target`, and two who write at once do not mix.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{WRITING}{uuid4().hex[:8]}-{target.name}")
    try:
        yield aside
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def move_into_place(writing: Path, final: Path) -> None:
    """Give a folder that was written aside its own name, on disk; another one of that name is removed after that.

    Raises OSError, and then the other one is what it was.
    """
    for path in (*writing.iterdir(), writing):
        _flush(path)
    old = final.with_name(f"{OLD}{final.name}")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.replace(final, old)
    try:
        os.replace(writing, final)
    except OSError:
        if old.exists():
            os.replace(old, final)
        raise
    _flush(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Ask the file system to put a file or folder on disk now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
