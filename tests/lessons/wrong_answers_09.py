"""Plausible wrong answers to the exercises of notebook 09."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def mean_of_logarithms(own: Tensor, others: Tensor) -> Tensor:
    return own - others.mean(dim=0)


def with_the_own_picture(own: Tensor, others: Tensor) -> Tensor:
    """The right picture stands among the others."""
    return own - (torch.cat([others, own[None]]).logsumexp(dim=0) - math.log(len(others) + 1))


def sum_for_mean(own: Tensor, others: Tensor) -> Tensor:
    return own - others.logsumexp(dim=0)


def ratio_for_logarithm(own: Tensor, others: Tensor) -> Tensor:
    return own.exp() / others.exp().mean(dim=0)


def underflow(own: Tensor, others: Tensor) -> Tensor:
    """Right on paper: exp(-200) is 0 in float32, and its logarithm infinite."""
    return own - others.exp().mean(dim=0).log()


def wrong_way_round(own: Tensor, others: Tensor) -> Tensor:
    return others.logsumexp(dim=0) - math.log(len(others)) - own


WRONG: dict[str, dict[str, Any]] = {
    "09a": {
        "mean of logarithms": mean_of_logarithms,
        "its own picture among the others": with_the_own_picture,
        "sum for mean": sum_for_mean,
        "ratio": ratio_for_logarithm,
        "underflow": underflow,
        "wrong way round": wrong_way_round,
    },
    "09b": {"log 7": math.log(7), "log 2": math.log(2), "log 6": math.log(6), "bits": math.log2(3.5), "ratio": 3.5},
    "09c": {"knows more": "A", "too few": "C", "unit": "D"},
    "09d": {"not whitened": 0.379, "itself": 1.0, "the untrained encoder, all components": 0.648, "chance": 0.2},
}
