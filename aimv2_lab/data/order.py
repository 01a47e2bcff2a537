"""Which pair stands at which position, and every random draw made there: pure functions of (seed, epoch, position).

Nothing here has a state, so a run resumes from one integer, and neither the number of ranks nor of workers can change
what is drawn. Source: our choice, after the loaders whose order is a function and not a buffer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

import numpy as np

Stream = Literal["order", "caption", "crop", "prefix", "replacement"]


def sample_generator(seed: int, epoch: int, position: int, stream: Stream) -> np.random.Generator:
    """The generator for one kind of draw at one position of one epoch.

    A Philox generator keyed by seed and stream whose counter starts at (epoch, position), so that no two of them
    share a number. Raises ValueError for a negative argument.
    """
    if min(seed, epoch, position) < 0:
        raise ValueError(f"seed {seed}, epoch {epoch} and position {position} must not be negative")
    key = np.array([seed, _stream_number(stream)], dtype=np.uint64)
    # The lowest word of the counter is left to count the draws.
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, position, epoch, 0], dtype=np.uint64)))


@lru_cache
def _stream_number(stream: str) -> int:
    return int.from_bytes(blake2b(stream.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Order:
    """An endless order over `length` pairs: every epoch is a permutation of its own. Raises ValueError if empty."""

    length: int
    seed: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"an order over {self.length} pairs: the source is empty")

    def index(self, global_position: int) -> tuple[int, int, int]:
        """(epoch, position within the epoch, index in the source) of a position counted from the start of the run."""
        epoch, position = divmod(global_position, self.length)
        return (
            epoch,
            position,
            int(_permutation(self.length, self.seed, epoch)[position]),
        )


@lru_cache(maxsize=2)  # a batch may reach over the end of an epoch
def _permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of 0 … length - 1, int64.

    Sorting Philox's raw numbers, unlike `Generator.permutation`, gives the same result in every version of numpy.
    """
    raw = sample_generator(seed, epoch, 0, "order").bit_generator.random_raw(length)
    permutation = np.argsort(raw, kind="stable")
    permutation.setflags(write=False)
    return permutation
