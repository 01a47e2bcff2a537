"""Our encoder's sizes and weights under the names of `transformers.Aimv2VisionModel`, and back.

No value changes on the way and nothing is transposed. Two things differ beside the names: our fused q, k, v matrix is
three matrices there, and an encoder with sine-cosine positions has no position table on either side.
Source: the names of transformers' released AIMv2 model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe, Recipe

_AROUND_THE_BLOCKS = {
    "patch_projection.weight": "embeddings.patch_embed.weight",
    "patch_projection.bias": "embeddings.patch_embed.bias",
    "patch_norm.weight": "embeddings.rms_norm.weight",
    "norm.weight": "rms_norm.weight",
}

_IN_A_BLOCK = {
    "attention_norm": ("rms_norm1",),
    "attention.qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    "attention.out": ("attention.out_proj",),
    "feed_forward_norm": ("rms_norm2",),
    "feed_forward.gate": ("ffn.gate_proj",),
    "feed_forward.up": ("ffn.up_proj",),
    "feed_forward.down": ("ffn.down_proj",),
}


def transformers_config(recipe: Recipe | EncoderRecipe) -> dict[str, Any]:
    """The arguments of `transformers.Aimv2VisionConfig` for this recipe's encoder.

    `use_head` is written out because it is true by default there, which adds a pooling head with random weights.
    """
    encoder = _encoder_recipe(recipe)
    return {
        "hidden_size": encoder.width,
        "intermediate_size": encoder.hidden,
        "num_hidden_layers": encoder.depth,
        "num_attention_heads": encoder.heads,
        "image_size": encoder.image_size,
        "patch_size": encoder.patch_size,
        "rms_norm_eps": encoder.norm_eps,
        "is_native": encoder.positions == "sincos",
        "use_head": False,
    }


def transformers_names(depth: int, learned_positions: bool = True) -> dict[str, tuple[str, ...]]:
    """Our name of every encoder weight -> its name in transformers, or its three names for the fused q, k, v."""
    names: dict[str, tuple[str, ...]] = {ours: (theirs,) for ours, theirs in _AROUND_THE_BLOCKS.items()}
    if learned_positions:
        names["positions"] = ("embeddings.position_embedding.weight",)
    for i in range(depth):
        for ours, theirs in _IN_A_BLOCK.items():
            names[f"blocks.{i}.{ours}.weight"] = tuple(f"encoder.layers.{i}.{part}.weight" for part in theirs)
    return names


def encoder_to_transformers(encoder: VisionEncoder) -> dict[str, Tensor]:
    """The encoder's weights as a state dict of `transformers.Aimv2VisionModel` built with `use_head=False`.

    The rows of our fused matrix are all of q, then k, then v, so three equal slices give their three matrices. Every
    tensor is a copy, so that the result can be saved, and changed, on its own. Raises ValueError for AIM v1's trunk,
    which transformers does not have.
    """
    if not isinstance(encoder.recipe, EncoderRecipe):
        raise ValueError(f"transformers has no model for the weights of {type(encoder).__name__}, only AIMv2's encoder")
    ours = encoder.state_dict()
    theirs: dict[str, Tensor] = {}
    for name, parts in _names_for(encoder.recipe).items():
        slices = ours[name].chunk(len(parts))
        theirs |= {part: piece.clone() for part, piece in zip(parts, slices, strict=True)}
    return theirs


def transformers_to_encoder(state: Mapping[str, Tensor], recipe: Recipe | EncoderRecipe) -> dict[str, Tensor]:
    """A state dict of `transformers.Aimv2VisionModel` under our names, ready for `VisionEncoder(recipe)` to load.

    Raises ValueError when a weight that the recipe calls for is missing, or one is left over, such as the pooling
    head's or a block's beyond the recipe's depth. Shapes are checked by `load_state_dict`.
    """
    names = _names_for(_encoder_recipe(recipe))
    wanted = {part for parts in names.values() for part in parts}
    missing, left_over = sorted(wanted - state.keys()), sorted(state.keys() - wanted)
    if missing or left_over:
        raise ValueError(
            f"these are not the weights of this recipe's encoder under transformers' names: {len(missing)} missing "
            f"({', '.join(missing[:3]) or 'none'}), {len(left_over)} left over ({', '.join(left_over[:3]) or 'none'}); "
            "choose the recipe of the same depth and positions, and a model without pooling head"
        )
    return {ours: torch.cat([state[part] for part in parts]) for ours, parts in names.items()}


def _encoder_recipe(recipe: Recipe | EncoderRecipe) -> EncoderRecipe:
    return recipe.encoder if isinstance(recipe, Recipe) else recipe


def _names_for(recipe: EncoderRecipe) -> dict[str, tuple[str, ...]]:
    return transformers_names(recipe.depth, learned_positions=recipe.positions == "learned")
