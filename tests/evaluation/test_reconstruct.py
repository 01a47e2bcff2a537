"""Reconstructions put every prediction in its patch's place, and nothing else moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.evaluation.reconstruct import reconstruct
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.model.strips import Strips
from aimv2_lab.recipes import recipe

TINY = recipe("tiny")


class Oracle(AIMv2):
    """Predicts every next patch perfectly, and nonsense where nothing counts."""

    def forward(
        self,
        images: Tensor,
        tokens: Tensor,
        prefix_lengths: Tensor | None = None,
        text_slots: Tensor | None = None,
        parallel: Tensor | None = None,
        strips: Strips | None = None,
    ) -> Predictions:
        assert prefix_lengths is not None
        targets = patchify(images, TINY.encoder.patch_size).roll(-1, dims=1)
        if self.recipe.objective.target == "standardised":
            targets = standardise(targets).values
        counts = torch.arange(TINY.encoder.patches) >= prefix_lengths[:, None] - 1
        return Predictions(targets.where(counts[..., None], torch.tensor(torch.nan)), torch.empty(len(images), 0, 256))


@pytest.mark.parametrize("target", ["standardised", "raw"])
@pytest.mark.parametrize("prefix_length", [1, 7, 15])
def test_a_perfect_predictor_gives_the_picture_back(prefix_length: int, target: str) -> None:
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    oracle = Oracle(TINY.change({"objective.target": target}))
    torch.testing.assert_close(reconstruct(oracle, images, prefix_length), images)


def test_the_prefix_is_the_picture_and_the_rest_is_predicted() -> None:
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    drawn = patchify(reconstruct(AIMv2(TINY), images, 5), TINY.encoder.patch_size)
    true = patchify(images, TINY.encoder.patch_size)
    assert torch.equal(drawn[:, :5], true[:, :5])
    assert ((drawn[:, 5:] - true[:, 5:]).abs().amax(dim=-1) > 0.1).all()
