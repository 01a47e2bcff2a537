"""What predictions are worth, and how sure that is over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, mean, stdev
from typing import Literal

import torch
from torch import Tensor

from aimv2_lab.evaluation.probing.training import UNLABELLED

Metric = Literal["top1", "mean_per_class"]
METRICS: tuple[Metric, ...] = ("top1", "mean_per_class")

# The 97.5% points of Student's t for 1 … 30 degrees of freedom.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def scores(predicted: Tensor, labels: Tensor) -> dict[Metric, Tensor]:
    """Each metric (C,), 0 … 1, of predictions (C, N) for labels (N,): the share of right ones over all pictures, and
    its mean over the classes that the labels have.

    Pictures without a label (-100) are left out. Raises ValueError where none has one.
    """
    counted = labels != UNLABELLED
    if not counted.any():
        raise ValueError(f"none of {len(labels)} pictures has a label of this task")
    right = (predicted[:, counted] == labels[counted]).double()
    classes, numbers = labels[counted].unique(return_inverse=True)
    each = torch.zeros(len(predicted), len(classes), dtype=torch.double).index_add_(1, numbers, right)
    return {"top1": right.mean(dim=1), "mean_per_class": (each / numbers.bincount()).mean(dim=1)}


def most_frequent(labels: Tensor) -> float:
    """The top-1 of saying always what is most frequent among labels (N,)."""
    counted = labels[labels != UNLABELLED]
    return counted.bincount().max().item() / len(counted)


@dataclass(frozen=True)
class Interval:
    """The mean of several seeds' values, and how far the 95% interval of Student's t reaches to either side of it.

    One value alone has no interval: `reach` is None.
    """

    mean: float
    reach: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """The interval of some values, one or more."""
        several = len(values) > 1
        reach = t_point(len(values) - 1) * stdev(values) / math.sqrt(len(values)) if several else None
        return cls(mean(values), reach, tuple(values))

    def __str__(self) -> str:
        return f"{self.mean:.1%}" + (f" ± {self.reach:.1%}" if self.reach is not None else "")


def t_point(degrees: int) -> float:
    """The 97.5% point of Student's t, to three decimals; above 30 degrees by the first terms of its expansion."""
    if degrees < 1:
        raise ValueError(f"{degrees} degrees of freedom: two values or more are needed")
    if degrees <= len(_T):
        return _T[degrees - 1]
    z = NormalDist().inv_cdf(0.975)
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
