"""Rival objectives on one tower, data and budget: the other recipes that follow from a recipe of AIMv2."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from aimv2_lab.fields import unknown_name
from aimv2_lab.recipes.contrastive import ContrastiveRecipe, TextTowerRecipe
from aimv2_lab.recipes.decoder import ObjectiveRecipe
from aimv2_lab.recipes.masked_image import MaskedDecoderRecipe, MaskedImageRecipe
from aimv2_lab.recipes.pretraining import Recipe

Rival = Literal["image-only", "caption-only", "caption-only-bidirectional", "cappa", "clip", "siglip", "masked-image"]
RivalRecipe = Recipe | ContrastiveRecipe | MaskedImageRecipe
RIVALS: tuple[Rival, ...] = get_args(Rival)

# What is learned of captions alone; CapPa's encoder sees pictures whole, and three captions of four are predicted at
# once (its released configuration).
_CAPTIONS: dict[str, ObjectiveRecipe] = {
    "caption-only": ObjectiveRecipe(0.0, "prefix", "none"),
    "caption-only-bidirectional": ObjectiveRecipe(0.0, "bidirectional", "none"),
    "cappa": ObjectiveRecipe(0.0, "bidirectional", "none", parallel_share=0.75),
}

_ONE_SIZE = ("clip", "siglip", "masked-image")


def rival(name: Rival, known: Recipe) -> RivalRecipe:
    """The recipe of a rival objective with the encoder, data and training of AIMv2's recipe `known`.

    "image-only" and the captioners keep its decoder, without what the other half of the objective needs; they are the
    rows of the paper's Tables 9a and 9b. The text tower of "clip" and "siglip" has the decoder's sizes, and the decoder
    of "masked-image" is half as wide and a third as deep as the encoder, as MAE's is for a ViT-L: both our choice.
    Raises UnknownName, a KeyError, for a name that is no rival, and ValueError for an objective that is trained at one
    size alone where `known` has many.
    """
    if name not in RIVALS:
        raise unknown_name("rival", name, list(RIVALS))
    if known.resolution.native and name in _ONE_SIZE:
        raise ValueError(
            f"rival {name!r} of {known.name}, whose pictures have many sizes: it is trained at one size alone"
        )
    named = replace(known, name=f"{known.name}-{name}")
    pictures = replace(known.data, tokenizer="")
    if name == "image-only":
        decoder = replace(known.decoder, text_tokens=0)
        return replace(named, decoder=decoder, data=pictures, objective=replace(known.objective, pixel_weight=1.0))
    if name == "masked-image":
        light = _light_decoder(known)
        return MaskedImageRecipe(
            named.name, known.encoder, light, data=pictures, training=known.training, engine=known.engine
        )
    if name in _CAPTIONS:
        return replace(named, objective=_CAPTIONS[name])
    return ContrastiveRecipe(
        named.name,
        known.encoder,
        _text_tower(known),
        image_tower="trained",
        loss="softmax" if name == "clip" else "sigmoid",
        shared_width=known.decoder.width,
        data=known.data,
        training=known.training,
        engine=known.engine,
    )


def _light_decoder(known: Recipe) -> MaskedDecoderRecipe:
    encoder = known.encoder
    heads = max(encoder.heads // 2, 1)
    return MaskedDecoderRecipe(
        encoder.width // 2, max(encoder.depth // 3, 1), heads, encoder.hidden // 2, encoder.norm_eps
    )


def _text_tower(known: Recipe) -> TextTowerRecipe:
    decoder = known.decoder
    sizes = (decoder.width, decoder.depth, decoder.heads, decoder.hidden, decoder.vocabulary, decoder.text_tokens)
    return TextTowerRecipe(*sizes, norm_eps=decoder.norm_eps)
