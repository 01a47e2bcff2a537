"""Scores by hand, and intervals that hold the truth as often as they say."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.evaluation.neighbours import neighbours_class
from aimv2_lab.evaluation.probing.scores import Interval, most_frequent, scores, t_point

LABELS = torch.tensor([0, 0, 0, 2, 2, -100])


def test_both_metrics_by_hand() -> None:
    found = scores(torch.tensor([[0, 0, 0, 0, 0, 0], [0, 1, -1, 2, 2, 1]]), LABELS)
    assert found["top1"].tolist() == pytest.approx([3 / 5, 3 / 5])
    assert found["mean_per_class"].tolist() == pytest.approx([1 / 2, (1 / 3 + 1) / 2])  # class 1 is not in the labels
    assert most_frequent(LABELS) == pytest.approx(3 / 5)


def test_labels_there_are_none_of_are_refused() -> None:
    with pytest.raises(ValueError, match="none of 2 pictures"):
        scores(torch.zeros(1, 2), torch.full((2,), -100))


def test_intervals_hold_the_mean_in_95_of_100_draws() -> None:
    draws = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    found = [Interval.of(row) for row in draws.tolist()]
    held = sum(abs(one.mean) <= one.reach for one in found if one.reach is not None) / len(found)
    assert held == pytest.approx(0.95, abs=0.012)


def test_one_value_has_no_interval() -> None:
    assert Interval.of([0.25]) == Interval(0.25, None, (0.25,)) and str(Interval.of([0.25])) == "25.0%"
    assert str(Interval.of([0.2, 0.3])) == "25.0% ± 63.5%"
    with pytest.raises(ValueError, match="0 degrees"):
        t_point(0)


def test_students_t_goes_on_where_the_table_ends() -> None:
    assert t_point(30) == 2.042
    assert t_point(31) == pytest.approx(2.0395, abs=2e-4)
    assert t_point(100) == pytest.approx(1.9840, abs=2e-4)
    assert all(t_point(n) > t_point(n + 1) for n in range(1, 60))


def test_neighbours_vote_by_angle_and_the_nearer_wins_a_tie() -> None:
    known = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 5.0], [-1.0, 0.0]])
    labels = torch.tensor([0, 0, 1, 1])
    asked = torch.tensor([[3.0, 0.2], [0.1, 1.0], [100.0, 99.0]])
    assert neighbours_class(known, labels, asked, count=1).tolist() == [0, 1, 0]
    assert neighbours_class(known, labels, asked, count=2, rows=1).tolist() == [0, 1, 0]
    assert neighbours_class(known, labels, asked, count=4).tolist() == [0, 1, 0]
    for count in (0, 5):
        with pytest.raises(ValueError, match=f"count = {count}"):
            neighbours_class(known, labels, asked, count)
