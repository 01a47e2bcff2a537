"""A slip in reporting the best of many probes that makes every number a little better than it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Report = Callable[[Tensor, Tensor], Tensor]


def report_best(choice: Tensor, test: Tensor) -> Tensor:
    """The test score of the cell that is best on other pictures, from which pictures (C, n) each cell gets right."""
    return test[choice.mean(dim=1).argmax()].mean()


def report_best_on_test(choice: Tensor, test: Tensor) -> Tensor:
    """As `report_best`, but the test pictures choose the cell too."""
    return test[test.mean(dim=1).argmax()].mean()


def mean_reported(right: Tensor, sizes: Sequence[int], report: Report, draws: int = 300) -> list[float]:
    """What `report` says on average of cells that get pictures right (C, N) or not, by how many pictures it has.

    Each time as many pictures to choose by and to test on are drawn at random, none of them for both.
    """
    generator, means = torch.Generator().manual_seed(0), []
    for size in sizes:
        total = torch.zeros(())
        for _ in range(draws):
            rows = torch.randperm(right.shape[1], generator=generator)
            total += report(right[:, rows[:size]], right[:, rows[size : 2 * size]])
        means.append(total.item() / draws)
    return means
