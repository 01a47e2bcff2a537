"""Neighbours are others, the nearest first, and chance is what features that know nothing earn."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.evaluation.neighbours import agreement, chance_agreement, nearest


def test_the_nearest_by_angle_come_first_and_never_the_row_itself() -> None:
    features = torch.tensor([[1.0, 0.0], [10.0, 1.0], [0.0, 2.0], [1.0, 0.8]])
    assert nearest(features, 3).tolist() == [[1, 3, 2], [0, 3, 2], [3, 1, 0], [1, 0, 2]]


def test_equal_rows_are_neighbours_but_not_of_themselves() -> None:
    near = nearest(torch.ones(5, 3), count=4)
    assert all(sorted([row, *others]) == list(range(5)) for row, others in enumerate(near.tolist()))


def test_the_scale_of_a_row_does_not_matter() -> None:
    features = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    scales = torch.rand(50, 1, generator=torch.Generator().manual_seed(1)) + 0.1
    assert torch.equal(nearest(features, 5), nearest(scales * features, 5))


def test_agreement_counts_every_neighbour() -> None:
    assert agreement(torch.tensor([[1, 2], [0, 2], [0, 1]]), ["a", "a", "b"]) == pytest.approx(2 / 6)
    assert chance_agreement(["a", "a", "b"]) == pytest.approx(1 / 3)


def test_features_that_know_nothing_find_neighbours_at_chance() -> None:
    draws = torch.Generator().manual_seed(0)
    features, labels = torch.randn(2000, 32, generator=draws), torch.randint(5, (2000,), generator=draws).tolist()
    assert abs(agreement(nearest(features, count=5), labels) - chance_agreement(labels)) < 0.02


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pool patch features"):
        nearest(torch.ones(4, 3, 2))
    for count in (0, 4):
        with pytest.raises(ValueError, match=f"count = {count}"):
            nearest(torch.ones(4, 3), count)
