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


def neighbours_class(known: Tensor, labels: Tensor, asked: Tensor, count: int = 20, rows: int = 1024) -> Tensor:
    """The class (M,) that the `count` rows of `known` (N, D) most like each row of `asked` (M, D) vote for.

    By cosine; each vote weighs what its cosine is above the lowest possible, -1, so that ties go to the nearer ones.
    Labels (N,) are numbers from 0. Rows are compared in blocks of `rows`. Raises ValueError unless 1 <= count <= N.
    """
    if not 1 <= count <= len(known):
        raise ValueError(f"count = {count} neighbours among {len(known)} rows; it must lie in 1 … N")
    directions, classes = functional.normalize(known.float(), dim=1), int(labels.max()) + 1
    found = []
    for block in asked.split(rows):
        likeness, nearest_rows = (functional.normalize(block.float(), dim=1) @ directions.T).topk(count, dim=1)
        votes = torch.zeros(len(block), classes, device=block.device)
        found.append(votes.scatter_add_(1, labels[nearest_rows], likeness + 1).argmax(dim=1))
    return torch.cat(found)
