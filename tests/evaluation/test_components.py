"""Components find planted directions; the dense map puts every feature where its patch was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.evaluation.components import dense_features, explained_share, fit_components, to_colours
from aimv2_lab.evaluation.features import frozen_features
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.patches import patchify
from aimv2_lab.recipes import recipe

DRAWS = torch.Generator().manual_seed(0)


def test_planted_directions_are_found_largest_first() -> None:
    directions = torch.linalg.qr(torch.randn(6, 6, generator=DRAWS)).Q.T[:2]
    spread = torch.randn(4000, 2, generator=DRAWS) * torch.tensor([1.0, 3.0])
    found = fit_components((spread @ directions + 7).reshape(40, 100, 6), count=2)
    assert found.deviations.tolist() == pytest.approx([3.0, 1.0], rel=0.1)
    assert found.shares.sum().item() == pytest.approx(1.0)
    alike = (found.directions @ directions.T).abs()
    torch.testing.assert_close(alike, torch.tensor([[0.0, 1.0], [1.0, 0.0]]), atol=0.05, rtol=0)


def test_projected_coordinates_are_centred_uncorrelated_and_of_the_said_deviation() -> None:
    rows = torch.randn(500, 8, generator=DRAWS) @ torch.randn(8, 8, generator=DRAWS)
    found = fit_components(rows, count=8)
    white = found.project(rows) / found.deviations
    torch.testing.assert_close(white.T.cov(), torch.eye(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(white.mean(dim=0), torch.zeros(8), atol=1e-4, rtol=0)
    assert torch.equal(found.directions.sign().gather(1, found.directions.abs().argmax(1, True)), torch.ones(8, 1))


class MeanColour(VisionEncoder):
    """An encoder whose features are the mean colours of its patches."""

    def forward(self, images: Tensor, *others: object) -> Tensor:
        return patchify(images, 12).unflatten(2, (144, 3)).mean(dim=2)


def test_a_dense_feature_describes_the_patch_around_its_pixel() -> None:
    images = torch.randn(2, 3, 48, 48, generator=DRAWS)
    dense = dense_features(MeanColour(recipe("tiny")), images, stride=4)
    assert dense.shape == (2, 12, 12, 3)
    around = images[1, :, 20 - 6 : 20 + 6, 28 - 6 : 28 + 6]  # row 5, column 7 of stride 4
    torch.testing.assert_close(dense[1, 5, 7], around.mean(dim=(1, 2)))
    corner = torch.nn.functional.pad(images, (6, 6, 6, 6), mode="replicate")[0, :, :12, :12]
    torch.testing.assert_close(dense[0, 0, 0], corner.mean(dim=(1, 2)))


def test_the_unshifted_picture_is_among_the_shifted() -> None:
    encoder = VisionEncoder(recipe("tiny")).eval()
    images = torch.randn(2, 3, 48, 48, generator=DRAWS)
    dense = dense_features(encoder, images, stride=6)  # features 1, 3, 5, 7 stand at the centres of the grid's patches
    plain = frozen_features(encoder, images).unflatten(1, (4, 4))
    torch.testing.assert_close(dense[:, 1::2, 1::2], plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [0, 5, 24])
def test_a_stride_that_does_not_fit_is_refused(stride: int) -> None:
    with pytest.raises(ValueError, match=f"stride {stride}"):
        dense_features(VisionEncoder(recipe("tiny")), torch.zeros(1, 3, 48, 48), stride)


def test_groups_explain_all_none_or_part() -> None:
    labels = torch.tensor([[0, 0], [1, 1]])
    assert explained_share(labels[..., None].float(), labels) == pytest.approx(1.0)
    assert explained_share(torch.tensor([[[0.0], [1.0]], [[0.0], [1.0]]]), labels) == pytest.approx(0.0)
    values = torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]]])  # means 0.5 and 2.5 around 1.5: 4 of 5
    assert explained_share(values, labels) == pytest.approx(0.8)


def test_one_stretch_serves_all_pictures() -> None:
    values = torch.linspace(-3, 5, 300).reshape(2, 50, 3)
    colours = to_colours(values, cut=0.0)
    assert colours.min() == 0 and colours.max() == 1
    assert colours[0].max() < colours[1].min()  # a picture stretched by itself would fill 0 … 1
