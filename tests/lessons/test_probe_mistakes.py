"""The slip of notebook 10 gives points away, the honest report does not, and both are what the text says."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.lessons.probe_mistakes import mean_reported, report_best, report_best_on_test

DICE = (torch.rand(22, 1000, generator=torch.Generator().manual_seed(1)) < 0.2).float()


def test_the_honest_report_is_of_the_cell_that_other_pictures_choose() -> None:
    choice = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    test = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    assert report_best(choice, test).item() == pytest.approx(1 / 3)
    assert report_best_on_test(choice, test).item() == 1.0


def test_dice_are_worth_what_they_are_only_where_the_test_pictures_have_no_say() -> None:
    sizes = (50, 400)
    honest = mean_reported(DICE, sizes, report_best)
    hasty = mean_reported(DICE, sizes, report_best_on_test)
    assert all(score == pytest.approx(0.2, abs=0.02) for score in honest)
    assert hasty[0] > 0.28 > hasty[1] > 0.22  # fewer pictures, a larger gift


def test_no_picture_both_chooses_and_tests() -> None:
    seen = list[torch.Tensor]()

    def watched(choice: torch.Tensor, test: torch.Tensor) -> torch.Tensor:
        seen.extend((choice, test))
        return test.mean()

    numbers = torch.arange(40.0)[None]
    mean_reported(numbers, (20,), watched, draws=5)
    for choice, test in zip(seen[::2], seen[1::2], strict=True):
        assert sorted(torch.cat([choice, test], dim=1)[0].tolist()) == numbers[0].tolist()
