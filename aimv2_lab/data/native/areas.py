"""The area of every step at native resolution, and which positions of the run the step holds: pure functions of (seed,
step), the same for any number of ranks and workers."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from aimv2_lab.data.order import sample_generator
from aimv2_lab.recipes import Recipe

BLOCK = 1024  # steps whose areas are drawn together
CUT = 1.0  # the normal is cut at plus and minus this (paper, section 2.4)


class Areas:
    """Areas in patches and sizes of the steps of a run, of which any can be asked for.

    A step of area A has floor(C / A) pictures, C being `tokens`, and they are the positions that follow those of the
    step before. `seed` and exponents are the recipe's.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.tokens = recipe.training.batch_size * recipe.encoder.patches
        self._drawn_from = (recipe.training.seed, *recipe.resolution.area_exponents)
        self._block_ends = [0]  # the first position of block 0, 1, …, as far as anyone has asked

    def area(self, step: int) -> int:
        """The patches that each picture of a step may have."""
        block, place = divmod(step, BLOCK)
        return int(_areas(block, *self._drawn_from)[place])

    def images(self, step: int) -> int:
        """The pictures of a step, of all ranks."""
        return self.tokens // self.area(step)

    def first(self, step: int) -> int:
        """The position of a step's first picture: how many all steps before it have."""
        block, place = divmod(step, BLOCK)
        while len(self._block_ends) <= block:
            self._next_block()
        return self._block_ends[block] + (int(self._ends(block)[place - 1]) if place else 0)

    def step_at(self, position: int) -> int:
        """The step that a position of the run belongs to."""
        while self._block_ends[-1] <= position:
            self._next_block()
        block = bisect_right(self._block_ends, position) - 1
        place = np.searchsorted(self._ends(block), position - self._block_ends[block], side="right")
        return block * BLOCK + int(place)

    def _next_block(self) -> None:
        self._block_ends.append(self._block_ends[-1] + int(self._ends(len(self._block_ends) - 1)[-1]))

    def _ends(self, block: int) -> np.ndarray:
        """How many pictures the first 1, 2, … steps of a block have."""
        return _ends(self.tokens, block, *self._drawn_from)


@lru_cache(maxsize=8)
def _areas(block: int, seed: int, least: float, most: float) -> np.ndarray:
    raw = sample_generator(seed, 0, block, "area").bit_generator.random_raw(BLOCK)
    normal = NormalDist()
    low, high = normal.cdf(-CUT), normal.cdf(CUT)
    shares = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # never 0 or 1
    drawn = np.array([normal.inv_cdf(low + share * (high - low)) for share in shares.tolist()])
    exponents = least + (drawn.clip(-CUT, CUT) + CUT) / (2 * CUT) * (most - least)
    return np.round(2.0**exponents).astype(np.int64)


@lru_cache(maxsize=8)
def _ends(tokens: int, block: int, seed: int, least: float, most: float) -> np.ndarray:
    return np.cumsum(tokens // _areas(block, seed, least, most))
