"""A classifier as fine-tuning starts: a trained encoder, a new head, and what of them is trained."""

from __future__ import annotations

from dataclasses import replace

from aimv2_lab.formats.load import load_encoder
from aimv2_lab.model.adapters import add_adapters
from aimv2_lab.model.classifier import Classifier
from aimv2_lab.recipes import EncoderRecipe, FinetuneRecipe, TrunkRecipe


def build_classifier(recipe: FinetuneRecipe) -> Classifier:
    """The encoder of `recipe.start` under a head drawn from torch's generator; what is not trained needs no gradient.

    Raises FileNotFoundError where there is no checkpoint, ValueError where its encoder is another than the recipe's.
    """
    classifier, encoder = Classifier(recipe), load_encoder(recipe.start)
    found = _resized(encoder.recipe, recipe.encoder.image_size)
    if found != recipe.encoder:
        raise ValueError(
            f"start = {recipe.start!r} has the encoder {encoder.recipe}, the recipe {recipe.encoder}: leave the fields "
            "of encoder as the checkpoint has them (image_size is free with sine-cosine positions)"
        )
    classifier.encoder.load_state_dict(encoder.state_dict())
    if recipe.method == "lora":
        add_adapters(classifier.encoder, recipe)
    elif recipe.method == "frozen":
        classifier.encoder.requires_grad_(False)
    return classifier


def _resized(encoder: EncoderRecipe | TrunkRecipe, image_size: int) -> EncoderRecipe | TrunkRecipe:
    """The same encoder for pictures of another size, where it has no table of positions."""
    return replace(encoder, image_size=image_size) if encoder.positions == "sincos" else encoder
