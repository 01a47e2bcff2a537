"""The loss map agrees with the objective."""

from __future__ import annotations

import torch

from aimv2_lab.lessons.loss_map import counted_mean, errors_by_prefix
from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.objective import LossCounts, losses
from tests.model.tiny import PATCHES, images, wide_model

PICTURES = images(3)


def test_the_rows_are_the_errors_that_the_objective_averages() -> None:
    model = wide_model()
    errors = errors_by_prefix(model, PICTURES)
    assert errors.shape == (3, PATCHES - 1, PATCHES - 1)
    no_text = torch.empty(3, 0, dtype=torch.long)
    for length in (1, 4, PATCHES - 1):
        lengths = torch.full((3,), length)
        with torch.no_grad():
            said: Predictions = model(PICTURES, no_text, lengths)
        counts = LossCounts(3 * (PATCHES - length), 0)
        expected = losses(said, PICTURES, no_text, no_text.bool(), lengths, counts, 0.4, 2).pixel
        torch.testing.assert_close(errors[:, length - 1, length - 1 :].mean(), expected.to(errors.dtype))


def test_an_output_is_averaged_over_the_lengths_under_which_it_counts() -> None:
    lengths, outputs = torch.arange(1, 5)[:, None], torch.arange(4)
    errors = torch.where(outputs >= lengths - 1, lengths.double(), 1000.0)[None]
    assert counted_mean(errors).tolist() == [[1.0, 1.5, 2.0, 2.5]]  # output i counts for M = 1 … i + 1
