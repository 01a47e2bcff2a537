"""Nearest neighbours in feature space, and what they have in common."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torch.nn import functional


def nearest(features: Tensor, count: int = 1) -> Tensor:
    """The `count` other rows (N, count) most like each row of features (N, D) by cosine, the most like first.

    A row is never its own neighbour. For patch features (N, I, D) choose first: `.mean(1)` compares what is in the
    pictures, `.flatten(1)` what is where. Raises ValueError unless 1 <= count < N, or for features of another shape.
    """
    if features.ndim != 2:
        raise ValueError(f"features {tuple(features.shape)} must be (N, D); pool patch features with .mean(1)")
    if not 1 <= count < len(features):
        raise ValueError(f"count = {count} neighbours among {len(features)} rows; it must lie in 1 … N - 1")
    directions = functional.normalize(features.float(), dim=1)
    likeness = (directions @ directions.T).fill_diagonal_(-torch.inf)
    return likeness.topk(count, dim=1).indices


def agreement(neighbours: Tensor, labels: Sequence[Hashable]) -> float:
    """The share of all neighbours (N, count) that carry the label of the row whose neighbours they are."""
    same = [labels[row] == labels[other] for row, others in enumerate(neighbours.tolist()) for other in others]
    return sum(same) / len(same)


def chance_agreement(labels: Sequence[Hashable]) -> float:
    """The agreement of neighbours drawn at random among the other rows."""
    counts = [labels.count(label) for label in labels]
    return sum(count - 1 for count in counts) / (len(labels) * (len(labels) - 1))
