"""This rank's batches, and what all ranks must know of each before they compute with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aimv2_lab.data.batches import Batch
from aimv2_lab.model.objective import LossCounts
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.ranks import Ranks
from aimv2_lab.training.step import loss_counts


class Fed(NamedTuple):
    """A rank's part of a global batch; `counts` and `replaced`, the number of damaged pairs, are the whole batch's."""

    batch: Batch
    counts: LossCounts
    replaced: int


class Feed:
    """Hands out batches, one message between the ranks for each. `waited` is the time they took, in seconds."""

    def __init__(
        self, batches: Iterator[Batch], recipe: AnyRecipe, ranks: Ranks, told_to_stop: Callable[[], bool]
    ) -> None:
        self.batches, self.recipe, self.ranks, self.told_to_stop = batches, recipe, ranks, told_to_stop
        self.waited = 0.0

    def next(self) -> Fed | None:
        """The next batch, or None where one of the ranks was told to stop.

        Raises the error that reading it met, or RankFailed where another rank met one: on all ranks, before any waits
        for gradients that never come.
        """
        batch, error = self._read()
        mine = (0, 0, 0) if batch is None else (*loss_counts(batch, self.recipe), len(batch.replaced))
        flags = (int(self.told_to_stop()), int(error is not None))
        patches, tokens, replaced, stops, failures = self.ranks.count(*mine, *flags)
        if stops:  # an error may come of the stop itself, as where it ended a loader's worker
            return None
        if failures:
            self.ranks.together(lambda: _raised(error))
        assert batch is not None
        return Fed(batch, LossCounts(patches, tokens), replaced)

    def _read(self) -> tuple[Batch | None, Exception | None]:
        started = time.perf_counter()
        try:
            return next(self.batches), None
        except Exception as error:  # whatever it is, the other ranks must hear of it first
            return None, error
        finally:
            self.waited += time.perf_counter() - started


def _raised(error: Exception | None) -> None:
    if error is not None:
        raise error
