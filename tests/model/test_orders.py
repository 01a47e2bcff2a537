"""Other orders than raster: each a permutation, none leaks, and the loss compares with the patch that comes next."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from aimv2_lab.evaluation.next_patch import next_patch_errors
from aimv2_lab.evaluation.reconstruct import reconstruct
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.orders import in_order, patch_order
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.recipes import AIMv1Recipe, DataRecipe, PatchOrder, PixelHeadRecipe, TrunkRecipe
from tests.model.tiny import PATCHES, RECIPE, dependence, every_prefix_length, images, wide

OTHERS = [name for name in get_args(PatchOrder) if name != "raster"]
NO_TEXT = torch.empty(PATCHES - 1, 0, dtype=torch.long)


def model_of(name: PatchOrder, v1: bool) -> AIMv1 | AIMv2:
    if not v1:
        return wide(
            AIMv2(RECIPE.change({"objective.patch_order": name, "decoder.text_tokens": 0, "data.tokenizer": ""}))
        )
    trunk, head = TrunkRecipe(6, 16, 2, 2, patch_size=2), PixelHeadRecipe(width=16, depth=1)
    known = AIMv1Recipe("test", trunk, head, data=DataRecipe(tokenizer=""))
    return wide(AIMv1(replace(known, objective=replace(known.objective, patch_order=name))))


def test_orders_of_a_grid() -> None:
    assert patch_order("raster", 2, 3).tolist() == [0, 1, 2, 3, 4, 5]
    assert patch_order("spiral", 3, 4).tolist() == [0, 1, 2, 3, 7, 11, 10, 9, 8, 4, 5, 6]
    assert patch_order("checkerboard", 3, 3).tolist() == [0, 2, 4, 6, 8, 1, 3, 5, 7]
    assert sorted(patch_order("random", 4, 4).tolist()) == list(range(16))
    assert patch_order("random", 4, 4).tolist() == patch_order("random", 4, 4).tolist() != list(range(16))


def test_pictures_in_order_hold_the_patches_in_that_order() -> None:
    for name in get_args(PatchOrder):
        order = patch_order(name, 3, 3)
        assert torch.equal(patchify(in_order(images(2), 2, name), 2), patchify(images(2), 2)[:, order])


@pytest.mark.parametrize("v1", [True, False])
@pytest.mark.parametrize("name", OTHERS)
def test_outputs_that_count_have_seen_the_patches_before_theirs_in_the_order_and_no_other(
    name: PatchOrder, v1: bool
) -> None:
    lengths, order = every_prefix_length(), patch_order(name, 3, 3).tolist()
    pictures = images(len(lengths)).requires_grad_()
    strength = dependence(model_of(name, v1)(pictures, NO_TEXT, lengths).pixels, pictures)
    for image, length in enumerate(lengths.tolist()):
        for output in range(length - 1, PATCHES - 1):
            seen = patchify(strength[output], 2)[image].sum(dim=-1).nonzero()[:, 0].tolist()
            assert seen == sorted(order[: output + 1]), f"prefix {length}, output {output}"


@pytest.mark.parametrize("v1", [True, False])
@pytest.mark.parametrize("name", OTHERS)
def test_features_of_a_whole_picture_do_not_depend_on_the_order(name: PatchOrder, v1: bool) -> None:
    model, order = model_of(name, v1), patch_order(name, 3, 3)
    expected = model.encoder(images(2))[:, order]
    torch.testing.assert_close(model.encoder(images(2), None, order.expand(2, -1)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OTHERS)
def test_errors_are_measured_against_the_next_patch_of_the_order(name: PatchOrder) -> None:
    model, order = model_of(name, v1=True), patch_order(name, 3, 3)
    said = model(images(2), NO_TEXT[:2], torch.tensor([3, 3])).pixels
    targets = standardise(patchify(images(2), 2)[:, order[1:]].float()).values
    expected = (said[:, :-1].float() - targets).square().mean(dim=-1)
    torch.testing.assert_close(next_patch_errors(model, images(2), 3), expected)


def test_pictures_are_not_reconstructed_in_another_order() -> None:
    with pytest.raises(ValueError, match="in spiral order, not in raster"):
        reconstruct(model_of("spiral", v1=True), images(1), 3)
