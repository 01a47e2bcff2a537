"""Planted masks do what their names say, and only in the copy that they are planted in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aimv2_lab.lessons.leak import leak_matrix
from aimv2_lab.lessons.mask_mistakes import (
    MaskRule,
    bidirectional,
    causal,
    from_the_end,
    off_by_one,
    transposed,
    with_mask,
)
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.masks import prefix_mask
from tests.model.tiny import CAPTIONS, PATCHES, RECIPE, every_prefix_length, images, wide, wide_encoder, wide_model

LENGTHS = every_prefix_length()
RULES: dict[MaskRule, Callable[[int, int, int], bool]] = {
    transposed: lambda i, j, m: i <= j or i < m,
    off_by_one: lambda i, j, m: j <= i or j <= m,
    bidirectional: lambda i, j, m: True,
    causal: lambda i, j, m: j <= i,
    from_the_end: lambda i, j, m: j <= i or j >= PATCHES - m,
}


@pytest.mark.parametrize("rule", RULES)
def test_a_planted_mask_follows_its_rule(rule: MaskRule) -> None:
    mask = rule(LENGTHS, PATCHES)
    assert mask.shape == (len(LENGTHS), 1, PATCHES, PATCHES) and mask.dtype == torch.bool
    pairs = [(i, j) for i in range(PATCHES) for j in range(PATCHES)]
    for image, length in enumerate(LENGTHS.tolist()):
        assert all(bool(mask[image, 0, i, j]) == RULES[rule](i, j, length) for i, j in pairs)


@pytest.mark.parametrize("rule", RULES)
def test_the_copy_sees_by_the_rule_and_the_model_as_before(rule: MaskRule) -> None:
    encoder = wide(VisionEncoder(RECIPE.change({"encoder.depth": 1})))  # deeper ones see what the seen have seen
    before = encoder(images(), torch.tensor([2, 5]))
    changed = with_mask(encoder, rule)
    for length in LENGTHS[None].mT:

        def features(pictures: Tensor, length: Tensor = length) -> Tensor:
            return changed(pictures, length)

        assert torch.equal(leak_matrix(features, images(1), 2) > 0, rule(length, PATCHES)[0, 0])
    assert torch.equal(encoder(images(), torch.tensor([2, 5])), before)


def test_the_right_mask_planted_changes_nothing() -> None:
    pictures, model = images(len(LENGTHS)), wide_model()
    captions = CAPTIONS[:1].expand(len(LENGTHS), -1)
    planted, wanted = with_mask(model, prefix_mask)(pictures, captions, LENGTHS), model(pictures, captions, LENGTHS)
    assert torch.equal(planted.pixels, wanted.pixels) and torch.equal(planted.logits, wanted.logits)


def test_without_prefix_lengths_nothing_is_masked() -> None:
    encoder = wide_encoder()
    assert torch.equal(with_mask(encoder, transposed)(images()), encoder(images()))
