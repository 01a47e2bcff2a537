"""Which pairs are held out where no name tells: a hash of the key decides, the same everywhere and for ever."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np


def key_hash(key: str) -> int:
    """64 bits of BLAKE2 of a key."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def key_hashes(keys: Iterable[str]) -> np.ndarray:
    """`key_hash` of keys, (N,) uint64."""
    return np.fromiter(map(key_hash, keys), np.uint64)


def shares_of(hashes: np.ndarray) -> np.ndarray:
    """Numbers in 0 … 1, uniform over keys, of their hashes (N,) uint64; a pair below `validation_share` is held out."""
    return hashes / 2.0**64


def key_shares(keys: Iterable[str]) -> np.ndarray:
    """The shares (N,) of keys."""
    return shares_of(key_hashes(keys))
