"""Models as a run begins with them that goes on from a trained encoder, and what of them is trained."""

from __future__ import annotations

from dataclasses import replace

from aimv2_lab.formats.load import load_encoder
from aimv2_lab.model.adapters import add_adapters
from aimv2_lab.model.classifier import Classifier
from aimv2_lab.model.distillation import Distillation
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import ContrastiveRecipe, DistillationRecipe, EncoderRecipe, FinetuneRecipe, TrunkRecipe


def build_classifier(recipe: FinetuneRecipe) -> Classifier:
    """The encoder of `recipe.start` under a head drawn from torch's generator; what is not trained needs no gradient.

    Raises FileNotFoundError where there is no checkpoint, ValueError where its encoder is another than the recipe's.
    """
    classifier = Classifier(recipe)
    _begin(classifier.encoder, recipe.start)
    if recipe.method == "lora":
        add_adapters(classifier.encoder, recipe)
    elif recipe.method == "frozen":
        classifier.encoder.requires_grad_(False)
    return classifier


def build_two_towers(recipe: ContrastiveRecipe) -> TwoTowers:
    """Towers drawn from torch's generator, the image tower's encoder from `recipe.start` where that is named.

    Raises as `build_classifier` does, and ValueError for a frozen image tower without a start.
    """
    if recipe.image_tower == "frozen" and not recipe.start:
        raise ValueError(
            f"recipe {recipe.name} freezes its image tower and names no start: add --start CHECKPOINT, a checkpoint or "
            "run folder, or --image-tower trained"
        )
    towers = TwoTowers(recipe)
    if recipe.start:
        _begin(towers.encoder, recipe.start)
    if recipe.image_tower == "frozen":
        towers.encoder.requires_grad_(False)
        assert towers.encoder.head is not None
        towers.encoder.head.requires_grad_(True)
    return towers


def build_distillation(recipe: DistillationRecipe) -> Distillation:
    """A student drawn from torch's generator beside the frozen encoder of `recipe.teacher`; raises as
    `build_classifier` does."""
    distillation = Distillation(recipe)
    _begin(distillation.teacher, recipe.teacher)
    return distillation


def _begin(encoder: VisionEncoder, start: str) -> None:
    """Give an encoder the weights of a checkpoint's, in place; raises ValueError where that one is another.

    A pooling head goes on where both have one, and begins anew where the encoder alone has one.
    """
    trained = load_encoder(start)
    found = _resized(trained.recipe, encoder.recipe.image_size)
    if found != encoder.recipe:
        raise ValueError(
            f"{start!r} has the encoder {trained.recipe}, the recipe {encoder.recipe}: leave the fields of "
            "encoder as the checkpoint has them (image_size is free with sine-cosine positions)"
        )
    head = {name: weight for name, weight in encoder.state_dict().items() if name.startswith("head.")}
    weights = {name: weight for name, weight in trained.state_dict().items() if head or not name.startswith("head.")}
    encoder.load_state_dict({**head, **weights})


def _resized(encoder: EncoderRecipe | TrunkRecipe, image_size: int) -> EncoderRecipe | TrunkRecipe:
    """The same encoder for pictures of another size, where it has no table of positions."""
    return replace(encoder, image_size=image_size) if encoder.positions == "sincos" else encoder
