"""Renaming to transformers and back loses nothing, and refuses weights that do not fit. Parity: tests/model."""

from __future__ import annotations

import pytest
import torch
from transformers import Aimv2VisionConfig, Aimv2VisionModel

from aimv2_lab.formats.huggingface import (
    encoder_to_transformers,
    transformers_config,
    transformers_names,
    transformers_to_encoder,
)
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv1 import AIMv1Trunk
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe, TrunkRecipe

TOY = EncoderRecipe(image_size=28, width=16, depth=2, heads=2, hidden=24)
NATIVE = EncoderRecipe(image_size=28, width=16, depth=2, heads=2, hidden=24, positions="sincos")


def wide_encoder(recipe: EncoderRecipe) -> VisionEncoder:
    encoder = VisionEncoder(recipe)
    draw_wide_weights(encoder, torch.Generator().manual_seed(0))
    return encoder


def transformers_model(recipe: EncoderRecipe) -> Aimv2VisionModel:
    return Aimv2VisionModel(Aimv2VisionConfig(**transformers_config(recipe)))


@pytest.mark.parametrize("recipe", [TOY, NATIVE], ids=["learned", "sincos"])
def test_names_and_shapes_are_those_of_the_transformers_model(recipe: EncoderRecipe) -> None:
    theirs = {name: tensor.shape for name, tensor in transformers_model(recipe).state_dict().items()}
    ours = {name: tensor.shape for name, tensor in encoder_to_transformers(wide_encoder(recipe)).items()}
    assert ours == theirs


def test_every_weight_of_the_encoder_has_a_name() -> None:
    for recipe in (TOY, NATIVE):
        names = transformers_names(recipe.depth, recipe.positions == "learned")
        assert names.keys() == VisionEncoder(recipe).state_dict().keys()


def test_there_and_back_is_the_identity() -> None:
    encoder = wide_encoder(TOY)
    returned = transformers_to_encoder(encoder_to_transformers(encoder), TOY)
    assert returned.keys() == encoder.state_dict().keys()
    assert all(torch.equal(returned[name], tensor) for name, tensor in encoder.state_dict().items())


def test_the_result_shares_no_memory_with_the_encoder() -> None:
    encoder = wide_encoder(TOY)
    before = encoder.state_dict()["blocks.0.attention.qkv.weight"].clone()
    encoder_to_transformers(encoder)["encoder.layers.0.attention.q_proj.weight"].zero_()
    assert torch.equal(encoder.state_dict()["blocks.0.attention.qkv.weight"], before)


def test_weights_that_do_not_fit_the_recipe_are_refused_by_name() -> None:
    state = encoder_to_transformers(wide_encoder(TOY))
    with pytest.raises(ValueError, match=r"1 left over \(head\.cls_token\)"):
        transformers_to_encoder(state | {"head.cls_token": torch.zeros(1)}, TOY)
    state.pop("rms_norm.weight")
    with pytest.raises(ValueError, match=r"1 missing \(rms_norm\.weight\)"):
        transformers_to_encoder(state, TOY)


def test_the_trunk_of_aim_v1_is_refused_because_transformers_has_no_such_model() -> None:
    with pytest.raises(ValueError, match="transformers has no model for the weights of AIMv1Trunk"):
        encoder_to_transformers(AIMv1Trunk(TrunkRecipe(image_size=28, width=16, depth=2, heads=2)))
