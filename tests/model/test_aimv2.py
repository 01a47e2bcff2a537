"""The whole model: its parts come from the recipe, and the decoder reads the encoder's features."""

from __future__ import annotations

import torch

from aimv2_lab import AIMv2, VisionEncoder
from tests.model.tiny import CAPTIONS, PATCH_VALUES, RECIPE, images, wide_model


def test_encoder_and_decoder_are_those_of_the_recipe() -> None:
    model = AIMv2(RECIPE)
    assert model.recipe is RECIPE
    assert isinstance(model.encoder, VisionEncoder)
    assert (model.encoder.recipe, model.decoder.recipe) == (RECIPE.encoder, RECIPE.decoder)
    assert model.decoder.pixel_head.out_features == PATCH_VALUES


def test_predictions_are_made_from_the_normed_features_under_the_prefix() -> None:
    model, pictures = wide_model(), images()
    for lengths in (torch.tensor([2, 7]), None):
        features = model.encoder.norm(model.encoder.hidden_states(pictures, lengths)[-1])
        expected = model.decoder(features, CAPTIONS)
        said = model(pictures, CAPTIONS, lengths)
        assert torch.equal(said.pixels, expected.pixels)
        assert torch.equal(said.logits, expected.logits)
