"""Plausible wrong answers to the exercises of notebook 11."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, pstdev, stdev
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def unpaired(default: Sequence[float], row: Sequence[float], t: float) -> tuple[float, float]:
    """As if the seeds of the two had nothing in common."""
    spread = math.sqrt((stdev(default) ** 2 + stdev(row) ** 2) / len(row))
    return mean(row) - mean(default), t * spread


def deviation_of_one(default: Sequence[float], row: Sequence[float], t: float) -> tuple[float, float]:
    """Where a further seed may lie, not the mean."""
    differences = [mine - theirs for mine, theirs in zip(row, default, strict=True)]
    return mean(differences), t * stdev(differences)


def over_n(default: Sequence[float], row: Sequence[float], t: float) -> tuple[float, float]:
    differences = [mine - theirs for mine, theirs in zip(row, default, strict=True)]
    return mean(differences), t * pstdev(differences) / math.sqrt(len(row))


def wrong_way_round(default: Sequence[float], row: Sequence[float], t: float) -> tuple[float, float]:
    differences = [theirs - mine for mine, theirs in zip(row, default, strict=True)]
    return mean(differences), t * stdev(differences) / math.sqrt(len(row))


def one_way(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """Every picture over all texts, and nothing back."""
    return functional.cross_entropy(scale * images @ texts.T, torch.arange(len(images)))


def both_added(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return one_way(images, texts, scale) + one_way(texts, images, scale)


def without_scale(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    return (one_way(images, texts, 1.0) + one_way(texts, images, 1.0)) / 2


def sigmoid(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    signs = 2 * torch.eye(len(images)) - 1
    return -functional.logsigmoid(signs * scale * images @ texts.T).sum() / len(images)


WRONG: dict[str, dict[str, Any]] = {
    "11a": {
        "unpaired": unpaired,
        "the spread of one seed": deviation_of_one,
        "divided by n": over_n,
        "the wrong way round": wrong_way_round,
    },
    "11b": {"one way": one_way, "both added": both_added, "without scale": without_scale, "SigLIP's": sigmoid},
    "11c": {"equal pairs": 1600, "upside down": 566, "a fixed half": 3200},
    "11d": {"holds zero": "A", "shown equal": "C", "best of five": "D"},
}
