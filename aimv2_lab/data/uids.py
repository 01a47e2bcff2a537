"""The 128-bit uids of DataComp: lists of them on disk, and which rows of a table they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

UID = np.dtype("u8,u8")  # the upper and the lower 64 bits, as DataComp and DFN store uids
_WRITTEN = re.compile(r"[0-9a-fA-F]{32}")
_BLOCK = 2**22  # uids checked at a time, 64 MiB


def parse_uids(texts: Sequence[str | None]) -> np.ndarray:
    """Uids (N,) of type `UID` from 32 hexadecimal digits each; raises ValueError, naming one, for anything else."""
    written = [text for text in texts if text is not None and _WRITTEN.fullmatch(text)]
    if len(written) < len(texts):
        wrong = next(text for text in texts if text is None or not _WRITTEN.fullmatch(text))
        raise ValueError(f"{wrong!r} is no uid: 32 hexadecimal digits are expected")
    halves = np.frombuffer(bytes.fromhex("".join(written)), dtype=">u8").astype("<u8")
    return halves.view(UID)


def open_uid_list(path: Path) -> np.ndarray:
    """A sorted list of uids: a .npy array of type "u8,u8", mapped into memory, or a text file with one uid a line.

    A text is read whole and sorted. Raises ValueError for an array of another type, one that is not sorted or is cut
    off, an empty list, and a line that is no uid.
    """
    uids = _mapped(path) if path.suffix == ".npy" else _read(path)
    if not len(uids):
        raise ValueError(f"{path} lists no uids")
    return uids


def listed(uids: np.ndarray, sorted_list: np.ndarray) -> np.ndarray:
    """Which of `uids` (N,) a sorted list holds: (N,) bool."""
    order = np.lexsort((uids["f1"], uids["f0"]))  # neighbours lie on the same pages of the list
    found = np.searchsorted(sorted_list, uids[order])
    there = np.zeros(len(uids), dtype=bool)
    inside = found < len(sorted_list)
    there[order[inside]] = sorted_list[found[inside]] == uids[order[inside]]
    return there


def uid_sum(uids: Iterable[str]) -> int:
    """A 256-bit number that stands for a collection of uids in any order, and can be added up over parts.

    It is the sum of their SHA-256 digests modulo 2**256; source: Bellare and Micciancio (1997), AdHash.
    """
    return sum(int.from_bytes(sha256(uid.encode()).digest(), "big") for uid in uids) % 2**256


def _mapped(path: Path) -> np.ndarray:
    try:
        uids = np.load(path, mmap_mode="r")
    except ValueError as error:
        raise ValueError(f"{path} is no whole .npy file: {error}. Fetch it again") from None
    if uids.dtype != UID or uids.ndim != 1:
        raise ValueError(f'{path} holds {uids.dtype} {uids.shape}; a list of uids is one row of type "u8,u8"')
    for start, block in _blocks(uids):
        upper, lower = block["f0"], block["f1"]
        falls = (upper[1:] < upper[:-1]) | ((upper[1:] == upper[:-1]) & (lower[1:] < lower[:-1]))
        if falls.any():
            number = start + int(np.argmax(falls)) + 1
            raise ValueError(f"{path} is not sorted: entry {number} is smaller than the one before. np.sort it first")
    return uids


def _blocks(uids: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces with one entry in common, and where they start."""
    for start in range(0, len(uids), _BLOCK):
        yield start, uids[start : start + _BLOCK + 1]


def _read(path: Path) -> np.ndarray:
    lines = path.read_text(encoding="utf-8").splitlines()
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    wrong = next((number for number, line in numbered if not _WRITTEN.fullmatch(line)), 0)
    if wrong:
        raise ValueError(f"{path} line {wrong}: {lines[wrong - 1]!r:.60} is no uid: 32 hexadecimal digits are expected")
    return np.sort(parse_uids([line for _, line in numbered]))
