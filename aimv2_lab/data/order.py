"""Which pair stands at which position, and every random draw made there: pure functions of (seed, epoch, position).

Nothing here has a state, so a run resumes from one integer, and neither the number of ranks nor of workers can change
what is drawn. Source: our choice, after the loaders whose order is a function and not a buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeVar

import numpy as np

Sizes = Sequence[int] | np.ndarray
Stream = Literal[
    "order", "shards", "mixture", "caption", "crop", "prefix", "parallel", "mask", "replacement", "augmentation", "area"
]

ORDER_VERSION = 1  # raised whenever the same sources, weights and seed give another order or other draws than before
WINDOW_SHARDS = 16  # shards read at the same time; our choice: some gigabytes, which a node's memory holds


def sample_generator(seed: int, epoch: int, position: int, stream: Stream, source: int = 0) -> np.random.Generator:
    """The generator for one kind of draw at one position of one epoch of one source of a mixture.

    A Philox generator keyed by seed, stream and source whose counter starts at (epoch, position), so that no two of
    them share a number. Raises ValueError for a negative argument.
    """
    if min(seed, epoch, position, source) < 0:
        raise ValueError(f"seed {seed}, epoch {epoch}, position {position}, source {source} must not be negative")
    key = np.array([seed, _stream_number(stream if source == 0 else f"{stream} {source}")], dtype=np.uint64)
    # The lowest word of the counter is left to count the draws.
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, position, epoch, 0], dtype=np.uint64)))


@lru_cache
def _stream_number(stream: str) -> int:
    return int.from_bytes(blake2b(stream.encode(), digest_size=8).digest(), "big")


def draw_patch_order(patches: int, draws: np.random.Generator) -> np.ndarray:
    """A random order (I,) of an image's patches, int64: the first of them are the visible ones."""
    return _permutation(patches, draws)


class Order:
    """An endless order over the pairs of one source: every epoch permutes them anew, window by window.

    `shards` counts the pairs of every shard, in the order of the source. An epoch permutes the shards, cuts their row
    into windows of `WINDOW_SHARDS`, and permutes the pairs of each window, so that reading moves through few files at a
    time. A source of no more shards than one window holds is permuted whole. Finding a position takes no longer the
    further on it is. Raises ValueError if there are no pairs.
    """

    def __init__(self, shards: Sizes, seed: int, source: int = 0) -> None:
        self.seed, self.source = seed, source
        self._ends = np.cumsum(np.asarray(shards, dtype=np.int64))
        self._sizes = np.diff(self._ends, prepend=0)
        self.length = int(self._ends[-1]) if len(self._ends) else 0
        if self.length < 1:
            raise ValueError(f"an order over {self.length} pairs: the source is empty")
        self._epochs: dict[int, tuple[list[np.ndarray], np.ndarray]] = {}
        self._permutations: dict[tuple[int, int], np.ndarray] = {}

    def index(self, position: int) -> tuple[int, int, int]:
        """(epoch, position within the epoch, index in the source) of a position counted from the start of the run."""
        epoch, position = divmod(position, self.length)
        windows, ends = _remembered(self._epochs, epoch, lambda: self._windows(epoch))
        window = int(np.searchsorted(ends, position, side="right"))
        shards = windows[window]
        last = np.cumsum(self._sizes[shards])  # where each shard ends within the window
        size = int(last[-1])
        permutation = _remembered(
            self._permutations, (epoch, window), lambda: _permutation(size, self._draws(epoch, window, "order"))
        )
        row = int(permutation[position - (int(ends[window]) - size)])
        place = int(np.searchsorted(last, row, side="right"))
        return epoch, position, int(self._ends[shards[place]]) - (int(last[place]) - row)

    def _windows(self, epoch: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The shards of every window of an epoch, ascending, and how many pairs lie before each window's end."""
        order = _permutation(len(self._sizes), self._draws(epoch, 0, "shards"))
        starts = range(0, len(order), WINDOW_SHARDS)
        windows = [np.sort(order[start : start + WINDOW_SHARDS]) for start in starts]
        return windows, np.cumsum([self._sizes[shards].sum() for shards in windows])

    def _draws(self, epoch: int, position: int, stream: Stream) -> np.random.Generator:
        return sample_generator(self.seed, epoch, position, stream, self.source)


class Place(NamedTuple):
    """Where a position of a run leads: a source, its epoch, the position within that, and the row of the pair there."""

    source: int
    epoch: int
    position: int
    row: int


class MixedOrder:
    """An endless order over several sources in exact shares: every block of sum(weights) positions holds them all.

    `shards` counts the pairs of every shard of every source. A block has each source exactly `weights` times, in an
    order drawn for that block, and each source goes through its own epochs. Source: stratified blocks are our choice;
    the shares are the paper's (Table 2: 30, 30, 9, 28 and 3 of 100). Raises ValueError for weights that are no
    positive whole numbers, or not one for each source.
    """

    def __init__(self, shards: Sequence[Sizes], weights: Sequence[int], seed: int) -> None:
        if len(weights) != len(shards) or not all(isinstance(weight, int) and weight > 0 for weight in weights):
            raise ValueError(
                f"weights {list(weights)} of {len(shards)} sources: one positive whole number each is needed"
            )
        self.seed, self.weights = seed, tuple(weights)
        self.orders = [Order(sizes, seed, source) for source, sizes in enumerate(shards)]
        self._blocks: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def place(self, position: int) -> Place:
        """The source and pair at a position counted from the start of the run."""
        block, slot = divmod(position, sum(self.weights))
        sources, turns = self._block(block)
        source = int(sources[slot])
        return Place(source, *self.orders[source].index(block * self.weights[source] + int(turns[slot])))

    def counts(self, positions: int) -> tuple[int, ...]:
        """How many of the first `positions` positions each source has."""
        blocks, slots = divmod(positions, sum(self.weights))
        begun = np.bincount(self._block(blocks)[0][:slots], minlength=len(self.weights))
        return tuple(blocks * weight + int(count) for weight, count in zip(self.weights, begun, strict=True))

    def before_repeats(self) -> int:
        """How many positions from the start hold no pair twice: a source that is small for its weight ends it."""
        lengths = np.array([order.length for order in self.orders])
        block = int((lengths // self.weights).min())
        sources, turns = self._block(block)
        repeated = block * np.array(self.weights)[sources] + turns >= lengths[sources]
        return block * sum(self.weights) + int(np.argmax(repeated))

    def _block(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """For every slot of a block, its source, and how many slots before it have the same."""
        return _remembered(self._blocks, block, lambda: _drawn_block(self.weights, self.seed, block))


def _drawn_block(weights: Sequence[int], seed: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    if len(weights) == 1:  # nothing to draw
        return np.zeros(weights[0], dtype=np.int64), np.arange(weights[0])
    permutation = _permutation(sum(weights), sample_generator(seed, 0, block, "mixture"))
    sources = np.repeat(np.arange(len(weights)), weights)[permutation]
    turns = np.zeros_like(sources)
    for source, weight in enumerate(weights):
        turns[sources == source] = np.arange(weight)
    return sources, turns


def _permutation(length: int, draws: np.random.Generator) -> np.ndarray:
    """A permutation of 0 … length - 1, int64.

    Sorting Philox's raw numbers, unlike `Generator.permutation`, gives the same result in every version of numpy.
    """
    return np.argsort(draws.bit_generator.random_raw(length), kind="stable")


Key = TypeVar("Key")
Value = TypeVar("Value")


def _remembered(made: dict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    """What was made for a key; the last two are kept, because a batch may reach over an end."""
    if key not in made:
        if len(made) > 1:
            del made[next(iter(made))]
        made[key] = make()
    return made[key]
