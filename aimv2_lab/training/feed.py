"""This rank's batches, and what all ranks must know of each before they compute with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aimv2_lab.data.batches import Batch
from aimv2_lab.data.native.batch import NativeBatch
from aimv2_lab.model.objective import LossCounts
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.step import loss_counts


class Fed(NamedTuple):
    """A rank's part of a global batch; `counts` and `replaced`, the number of damaged pairs, are the whole batch's."""

    batch: Batch
    counts: LossCounts
    replaced: int


class Feed:
    """Hands out batches on the engine's device, one message between the ranks for each.

    `waited` is the time they took, in seconds: reading, and sending as far as the host takes part in it. `encoded` is
    how many patches of pictures of many sizes this rank had.
    """

    def __init__(
        self, batches: Iterator[Batch], engine: Engine, recipe: AnyRecipe, told_to_stop: Callable[[], bool]
    ) -> None:
        self.batches, self.engine, self.recipe, self.told_to_stop = batches, engine, recipe, told_to_stop
        self.waited, self.encoded = 0.0, 0

    def next(self) -> Fed | None:
        """The next batch, or None where one of the ranks was told to stop.

        Raises the error that reading it met, or RankFailed where another rank met one: on all ranks, before any waits
        for gradients that never come.
        """
        batch, mine, error = self._read()
        flags, ranks = (int(self.told_to_stop()), int(error is not None)), self.engine.ranks
        *counts, replaced, stops, failures = ranks.count(*mine, *flags)
        if stops:  # an error may come of the stop itself, as where it ended a loader's worker
            return None
        if failures:
            ranks.together(lambda: _raised(error))
        assert batch is not None
        return Fed(batch, LossCounts(*counts), replaced)

    def _read(self) -> tuple[Batch | None, tuple[int, ...], Exception | None]:
        """A batch on the device with what counts of it and the number replaced, or the error met."""
        started = time.perf_counter()
        try:
            batch = next(self.batches)
            if isinstance(batch, NativeBatch):
                self.encoded += int(batch.patch_counts.sum())
            # Counted before it is sent: what a GPU has would be waited for.
            mine = (*loss_counts(batch, self.recipe), len(batch.replaced))
            return batch.to(self.engine.device), mine, None
        except Exception as error:  # whatever it is, the other ranks must hear of it first
            return None, (0, 0, 0, 0), error
        finally:
            self.waited += time.perf_counter() - started


def _raised(error: Exception | None) -> None:
    if error is not None:
        raise error
