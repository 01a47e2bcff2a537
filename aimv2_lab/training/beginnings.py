"""How a run begins that goes on from a trained model or its encoder, and what of its model is trained."""

from __future__ import annotations

from dataclasses import replace

from aimv2_lab.formats.load import load_encoder
from aimv2_lab.formats.whole import load_pretrained, refuse_other_model
from aimv2_lab.model.adapters import add_adapters
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.classifier import Classifier
from aimv2_lab.model.distillation import Distillation
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.models import AnyModel
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import EncoderRecipe, TrunkRecipe


def begin(model: AnyModel) -> None:
    """Give a model, in place, what its recipe names as start or teacher, where it names one: a whole model to AIMv2, to
    all others a trained encoder.

    Raises FileNotFoundError where there is no checkpoint, ValueError where its model or encoder is another than the
    recipe's, and for an image tower that is to stay frozen without a start.
    """
    if isinstance(model, AIMv2):
        if model.recipe.start:
            refuse_other_model(model.recipe)
            trained = load_pretrained(model.recipe.start, model.recipe.encoder.image_size)
            model.load_state_dict(trained.state_dict())
    elif isinstance(model, Distillation):
        _load(model.teacher, model.recipe.teacher)
    elif isinstance(model, Classifier) or (isinstance(model, TwoTowers) and model.recipe.start):
        _load(model.encoder, model.recipe.start)
    elif isinstance(model, TwoTowers) and model.recipe.image_tower == "frozen":
        raise ValueError(
            f"recipe {model.recipe.name} freezes its image tower and names no start: add --start CHECKPOINT, all that "
            "aimv2_lab.load_encoder reads, or --image-tower trained"
        )


def freeze(model: AnyModel) -> None:
    """Have what is not trained need no gradient, and give LoRA its adapters, drawn from torch's generator."""
    if isinstance(model, Classifier) and model.recipe.method == "lora":
        add_adapters(model.encoder, model.recipe)
    elif isinstance(model, Classifier) and model.recipe.method == "frozen":
        model.encoder.requires_grad_(False)
    elif isinstance(model, TwoTowers) and model.recipe.image_tower == "frozen":
        model.encoder.requires_grad_(False)
        assert model.encoder.head is not None
        model.encoder.head.requires_grad_(True)


def _load(encoder: VisionEncoder, start: str) -> None:
    """Give an encoder the weights of another.

    A pooling head goes on where both have one, and begins anew where the encoder alone has one.
    """
    trained = load_encoder(start)
    found = _resized(trained.recipe, encoder.recipe.image_size)
    if found != encoder.recipe:
        raise ValueError(
            f"{start!r} has the encoder {trained.recipe}, the recipe {encoder.recipe}: leave the fields of encoder as "
            "the checkpoint has them (image_size is free with sine-cosine positions)"
        )
    head = {name: weight for name, weight in encoder.state_dict().items() if name.startswith("head.")}
    weights = {name: weight for name, weight in trained.state_dict().items() if head or not name.startswith("head.")}
    encoder.load_state_dict({**head, **weights})


def _resized(encoder: EncoderRecipe | TrunkRecipe, image_size: int) -> EncoderRecipe | TrunkRecipe:
    """The same encoder for pictures of another size, where it has no table of positions."""
    return replace(encoder, image_size=image_size) if encoder.positions == "sincos" else encoder
