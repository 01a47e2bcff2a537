"""Our encoder as `transformers.Aimv2VisionModel`: sizes, weights, and the files of a directory, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.formats.detect import check_tensors
from aimv2_lab.formats.names import TRANSFORMERS, from_theirs, to_theirs
from aimv2_lab.formats.processor import PROCESSOR_FILE, processor_config
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe, Recipe, recipe

# Our fields under transformers' names, which Apple's older configurations share.
SIZES = {
    "width": "hidden_size",
    "hidden": "intermediate_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "image_size": "image_size",
    "patch_size": "patch_size",
}
# What our encoder has no choice about: a configuration that says otherwise is of another model.
_FIXED = {"num_channels": 3, "hidden_act": "silu", "qkv_bias": False, "mlp_bias": False, "use_bias": False}


def transformers_config(recipe: Recipe | EncoderRecipe) -> dict[str, Any]:
    """The arguments of `transformers.Aimv2VisionConfig` for this recipe's encoder.

    `use_head` is written out because it is true by default there, which adds a pooling head with random weights.
    """
    encoder = _encoder_recipe(recipe)
    sizes = {theirs: getattr(encoder, ours) for ours, theirs in SIZES.items()}
    return {
        **sizes,
        "rms_norm_eps": encoder.norm_eps,
        "is_native": encoder.positions == "sincos",
        "use_head": False,
    }


def encoder_to_transformers(encoder: VisionEncoder) -> dict[str, Tensor]:
    """The encoder's weights as a state dict of `transformers.Aimv2VisionModel`, with the head where it has one.

    The rows of our fused matrix are all of q, then k, then v, so three equal slices give their three matrices. Every
    tensor is a copy, so that the result can be saved, and changed, on its own. Raises ValueError for AIM v1's trunk,
    which transformers does not have.
    """
    if not isinstance(encoder.recipe, EncoderRecipe):
        raise ValueError(f"transformers has no model for the weights of {type(encoder).__name__}, only AIMv2's encoder")
    return to_theirs(encoder.state_dict(), TRANSFORMERS)


def transformers_to_encoder(state: Mapping[str, Tensor], recipe: Recipe | EncoderRecipe) -> dict[str, Tensor]:
    """A state dict of `transformers.Aimv2VisionModel` under our names, ready for `VisionEncoder(recipe)` to load.

    Raises ValueError when a weight that the recipe calls for is missing or has another shape, or one is left over, such
    as the pooling head's or a block's beyond the recipe's depth.
    """
    with torch.device("meta"):
        ours = VisionEncoder(_encoder_recipe(recipe)).state_dict()
    check_tensors(state, to_theirs(ours, TRANSFORMERS), "the state dict", "transformers'")
    return from_theirs(state, ours, TRANSFORMERS)


def transformers_files(encoder: VisionEncoder, preprocessing: Preprocessing) -> dict[str, dict[str, Any]]:
    """The JSON files of a directory that `AutoModel` and `AutoImageProcessor` load, by name."""
    assert isinstance(encoder.recipe, EncoderRecipe)
    config = {
        "architectures": ["Aimv2VisionModel"],
        "model_type": "aimv2_vision_model",
        "dtype": str(encoder.norm.weight.dtype).removeprefix("torch."),
        **transformers_config(encoder.recipe),
        "use_head": encoder.head is not None,
    }
    return {"config.json": config, PROCESSOR_FILE: processor_config(preprocessing)}


def encoder_recipe_of(config: Mapping[str, Any], learned_positions: bool, place: object) -> EncoderRecipe:
    """The recipe that a configuration describes, transformers' or Apple's older one; what it leaves out is the large
    encoder's, as there.

    Whether positions are learned is what the configuration says, else `learned_positions`. Raises ValueError naming the
    field that is not AIMv2's.
    """
    check_kind(config, place)
    large = recipe("aimv2-large-224").encoder
    sizes = {ours: config.get(theirs, getattr(large, ours)) for ours, theirs in SIZES.items()}
    for ours, value in sizes.items():
        if type(value) is not int:
            raise ValueError(f"{place}: {SIZES[ours]} = {value!r}; it must be a whole number")
    native = config.get("is_native", not learned_positions)
    return EncoderRecipe(
        **sizes, positions="sincos" if native else "learned", norm_eps=config.get("rms_norm_eps", large.norm_eps)
    )


def check_kind(config: Mapping[str, Any], place: object) -> None:
    """Raise ValueError, naming the field, for a configuration of blocks that are not AIMv2's."""
    for name, value in _FIXED.items():
        if config.get(name, value) != value:
            raise ValueError(f"{place}: {name} = {config[name]!r}; AIMv2 has {value!r}")
    if not isinstance(config.get("rms_norm_eps", 1e-5), float):
        raise ValueError(f"{place}: rms_norm_eps = {config['rms_norm_eps']!r}; it must be a number")


def _encoder_recipe(recipe: Recipe | EncoderRecipe) -> EncoderRecipe:
    return recipe.encoder if isinstance(recipe, Recipe) else recipe
