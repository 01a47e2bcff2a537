"""The processes of a run: which one this is, and the little that they tell each other beside gradients.

What is told here are numbers and messages on the host, over gloo, so that no rank waits for its device because of it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, distributed

Result = TypeVar("Result")


class RankFailed(RuntimeError):
    """Something failed on one of several ranks; the message says which, where and why. Every rank raises it."""


@dataclass(frozen=True)
class Ranks:
    """This process among `size`; `group` is the host-side process group, None for one process alone."""

    rank: int = 0
    size: int = 1
    group: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes and prints for all."""
        return self.rank == 0

    def sum(self, *numbers: float) -> list[float]:
        """The sums of each number over the ranks, in float64."""
        return self._reduced(torch.tensor(numbers, dtype=torch.float64), distributed.ReduceOp.SUM)

    def count(self, *numbers: int) -> list[int]:
        """The sums of each whole number over the ranks."""
        return self._reduced(torch.tensor(numbers, dtype=torch.int64), distributed.ReduceOp.SUM)

    def highest(self, *numbers: float) -> list[float]:
        """The highest of each number among the ranks, in float64."""
        return self._reduced(torch.tensor(numbers, dtype=torch.float64), distributed.ReduceOp.MAX)

    def _reduced(self, numbers: Tensor, operation: Any) -> list[Any]:
        if self.size > 1:
            distributed.all_reduce(numbers, operation, group=self.group)
        return numbers.tolist()

    def gather(self, value: Result) -> list[Result]:
        """Every rank's value, on every rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value, group=self.group)
        return found

    def to_first(self, value: Result) -> list[Result] | None:
        """Every rank's value, on the first rank; None on the others."""
        if self.size == 1:
            return [value]
        found: list[Any] | None = [None] * self.size if self.is_first else None
        distributed.gather_object(value, found, group=self.group)
        return found

    def joined(self, values: Sequence[Result]) -> list[Result]:
        """Every rank's values, one rank's after the other's, on every rank."""
        return [value for of_rank in self.gather(values) for value in of_rank]

    def together(self, action: Callable[[], Result]) -> Result:
        """Do on every rank what may fail on one of them, and go on only where all have done it.

        Raises as `fail` does where it raised the same on all, else RankFailed; so no rank waits for one that ended.
        """
        if self.size == 1:
            return action()
        result, error = None, None
        try:
            result = action()
        except Exception as found:  # it is raised again below
            error = found
        failures = self.gather(None if error is None else f"{type(error).__name__}: {error}")
        told = {failure for failure in failures if failure}
        if error is not None and told == set(failures) and len(told) == 1:
            self.fail(error)
        if told:
            raise RankFailed(_report(failures, self.gather(socket.gethostname()))) from error
        return result  # type: ignore[return-value]

    def fail(self, error: Exception) -> NoReturn:
        """Raise an error that every rank has met, as it is on the first rank, as RankFailed on the others."""
        if self.is_first:
            raise error
        raise RankFailed(f"{type(error).__name__}: {error}") from error

    def on_first(self, action: Callable[[], None]) -> None:
        """Do on the first rank what the others wait for; raises as `together` does."""
        self.together(action if self.is_first else lambda: None)

    def from_first(self, action: Callable[[], Result]) -> Result:
        """What the first rank found, on every rank, where two might find different things; raises as `together`."""
        return self.gather(self.together(lambda: action() if self.is_first else None))[0]  # type: ignore[return-value]

    def one_first(self, action: Callable[[], Result]) -> Result:
        """Do the same on every rank, on the first before all others, which find what it made; raises as `together`."""
        if self.size == 1:
            return action()
        first = self.together(lambda: action() if self.is_first else None)
        return self.together(lambda: action() if first is None else first)

    def agree(self, values: dict[str, str]) -> None:
        """Raise RankFailed, naming what differs and the ranks, unless all ranks hold the same values."""
        everywhere = self.gather(values)
        for name in values:
            found = [held.get(name) for held in everywhere]
            if len(set(found)) > 1:
                raise RankFailed(f"the ranks disagree on {name}: {_by_value(found)}. Give every node the same")


ALONE = Ranks()


def _report(failures: Sequence[str | None], hosts: Sequence[str]) -> str:
    rows = [f"rank {rank} on {hosts[rank]}: {failure}" for rank, failure in enumerate(failures) if failure]
    more = f"; and {len(rows) - 4} more ranks" if len(rows) > 4 else ""
    return f"{len(rows)} of {len(failures)} ranks failed: {'; '.join(rows[:4])}{more}"


def _by_value(found: Sequence[str | None]) -> str:
    ranks: dict[str | None, list[str]] = {}
    for rank, value in enumerate(found):
        ranks.setdefault(value, []).append(str(rank))
    return "; ".join(f"{value} on rank {', '.join(where[:8])}" for value, where in ranks.items())


def launched() -> bool:
    """Whether a launcher started this process as one of several: deepspeed, torchrun or srun."""
    # SLURM_NTASKS is there in a batch script too, which is one process; the step's number is srun's.
    return "RANK" in os.environ or int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1
