"""What a probing found: scores by task, test set and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from aimv2_lab.evaluation.probing.cache import CachedFeatures
from aimv2_lab.evaluation.probing.pictures import Task
from aimv2_lab.evaluation.probing.scores import METRICS, Interval, Metric, most_frequent, scores


@dataclass(frozen=True)
class Choice:
    """What one seed chose for one task: the cell's (rate, decay), None where nothing is swept, what all cells scored on
    the held-out pictures, and the classes (N,) that the chosen one says of every test set."""

    predicted: Mapping[str, Tensor]
    cell: tuple[float, float] | None = None
    grid: tuple[float, ...] = ()


@dataclass(frozen=True)
class TaskScores:
    """What a probe is worth on one task: by test set and metric the interval over seeds.

    `chance` is the top-1, by test set, of always saying what is most frequent there. `chosen` is, seed by seed, the
    (rate, decay) that was best on the held-out pictures; `grid` has all cells' scores there, seed by seed.
    """

    name: str
    classes: int
    by_test: Mapping[str, Mapping[Metric, Interval]]
    chance: Mapping[str, float]
    chosen: tuple[tuple[float, float], ...]
    grid: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, task: Task, number: int, choices: Sequence[Choice], tested: Mapping[str, CachedFeatures]) -> TaskScores:
        """The scores of every seed's choice for the task of that number."""
        by_test, chance = {}, {}
        for name, test in tested.items():
            labels = test.labels[:, number]
            found = [scores(choice.predicted[name][None], labels) for choice in choices]
            by_test[name] = {metric: Interval.of([one[metric].item() for one in found]) for metric in METRICS}
            chance[name] = most_frequent(labels)
        chosen = tuple(choice.cell for choice in choices if choice.cell is not None)
        grid = tuple(choice.grid for choice in choices if choice.grid)
        return cls(task.name, len(task.classes), by_test, chance, chosen, grid)


@dataclass(frozen=True)
class ProbeScores:
    """The scores of all tasks, how many sound pictures each part had, and what is wrong with the damaged ones."""

    tasks: tuple[TaskScores, ...]
    pictures: Mapping[str, int]
    damaged: Mapping[str, tuple[str, ...]]
