"""How a run begins that goes on from a trained model or its encoder, and what of its model is trained."""

from __future__ import annotations

from dataclasses import replace

from aimv2_lab.formats.load import load_encoder
from aimv2_lab.formats.whole import load_pretrained, pretrained_recipe
from aimv2_lab.model.adapters import add_adapters
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.classifier import Classifier
from aimv2_lab.model.distillation import Distillation
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.models import AnyModel
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import EncoderRecipe, TrunkRecipe, differences

# What a recipe may have otherwise than the start that its whole model goes on from: these make no other model.
_FREE_TO_GO_ON = ("encoder.image_size", "objective.pixel_weight", "objective.encoder_attention")


def begin(model: AnyModel) -> None:
    """Give a model, in place, what its recipe names as start or teacher, where it names one: a whole model to AIMv2, to
    all others a trained encoder.

    Raises FileNotFoundError where there is no checkpoint, ValueError where its model or encoder is another than the
    recipe's, and for an image tower that is to stay frozen without a start.
    """
    if isinstance(model, AIMv2):
        _load_whole(model)
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


def _load_whole(model: AIMv2) -> None:
    """Give AIMv2 the weights of its start, encoder and decoder, a position table resized to the recipe's pictures."""
    start, recipe = model.recipe.start, model.recipe
    if not start:
        return
    others = {
        path: values
        for path, values in differences(pretrained_recipe(start), recipe).items()
        if path.startswith(("encoder.", "decoder.", "objective.")) and path not in _FREE_TO_GO_ON
    }
    if others:
        rows = "; ".join(f"{path} is {there!r} there, {here!r} in the recipe" for path, (there, here) in others.items())
        raise ValueError(
            f"{start!r} is another model: {rows}. Name the recipe of that model, or give these fields the checkpoint's "
            "values; encoder.image_size is free"
        )
    model.load_state_dict(load_pretrained(start, recipe.encoder.image_size).state_dict())


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
