"""Two towers as the released LiT model is laid out, in transformers' names and in Apple's, and back.

transformers' text tower has a trap: it is causal only where a mask reaches its layers, so without one, or with one that
is all ones under the default attention, it reads a text otherwise than it was trained to. Ours is causal by itself.
With `attn_implementation="eager"` and an attention mask both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aimv2_lab.formats.detect import check_tensors
from aimv2_lab.formats.huggingface import SIZES, check_kind, encoder_recipe_of, transformers_config
from aimv2_lab.formats.names import APPLE, TRANSFORMERS, Names, from_theirs, to_theirs
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import ContrastiveRecipe, EncoderRecipe, TextTowerRecipe


class _Tower(NamedTuple):
    """Where a tower's weights are in our model and in a library's, and their names behind that."""

    ours: str
    theirs: str
    names: Names


class LitNames(NamedTuple):
    """A library's names for two towers; `rest` are those of single weights. Our logit scale has one dimension more."""

    library: str
    towers: tuple[_Tower, _Tower]
    rest: Mapping[str, str]


_APPLE_TEXT = {
    "token_table.weight": ("preprocessor.text_embedding.weight",),
    "positions": ("preprocessor.positional_embedding",),
    "norm.weight": ("trunk.post_trunk_norm.weight",),
}
_TRANSFORMERS_TEXT = {
    "token_table.weight": ("embeddings.token_embedding.weight",),
    "positions": ("embeddings.position_embedding.weight",),
    "norm.weight": ("rms_norm.weight",),
}
LIT_NAMES = {
    "transformers": LitNames(
        TRANSFORMERS.library,
        (
            _Tower("encoder.", "vision_model.", TRANSFORMERS),
            _Tower("text.", "text_model.", Names("", _TRANSFORMERS_TEXT, TRANSFORMERS.block, TRANSFORMERS.in_block)),
        ),
        {
            "image_projection.weight": "visual_projection.weight",
            "text_projection.weight": "text_projection.weight",
            "log_scale": "logit_scale",
        },
    ),
    "apple": LitNames(
        APPLE.library,
        (
            _Tower("encoder.", "image_encoder.", APPLE),
            _Tower("text.", "text_encoder.", Names("", _APPLE_TEXT, APPLE.block, APPLE.in_block)),
        ),
        {
            "image_projection.weight": "image_projector.weight",
            "text_projection.weight": "text_projector.weight",
            "log_scale": "log_logit_scale",
        },
    ),
}


def towers_to_theirs(ours: Mapping[str, Tensor], names: LitNames) -> dict[str, Tensor]:
    """The weights of two towers under a library's names, every tensor a copy; the bias of the sigmoid loss has none."""
    theirs: dict[str, Tensor] = {}
    for tower in names.towers:
        inside = {name.removeprefix(tower.ours): x for name, x in ours.items() if name.startswith(tower.ours)}
        theirs |= {tower.theirs + name: tensor for name, tensor in to_theirs(inside, tower.names).items()}
    theirs |= {name: ours[own].clone() for own, name in names.rest.items()}
    scale = names.rest["log_scale"]
    theirs[scale] = theirs[scale].reshape(())
    return theirs


def towers_from_theirs(
    theirs: Mapping[str, Tensor], wanted: Mapping[str, Tensor], names: LitNames
) -> dict[str, Tensor]:
    """The weights of two towers by our names, out of a library's; `wanted` has ours, of which the bias stays."""
    ours = {"bias": torch.zeros(1)}
    for tower in names.towers:
        inside = {name.removeprefix(tower.theirs): x for name, x in theirs.items() if name.startswith(tower.theirs)}
        own = [name.removeprefix(tower.ours) for name in wanted if name.startswith(tower.ours)]
        ours |= {tower.ours + name: tensor for name, tensor in from_theirs(inside, own, tower.names).items()}
    ours |= {own: theirs[name].reshape(wanted[own].shape) for own, name in names.rest.items()}
    return ours


def lit_config(towers: TwoTowers, end_id: int, model_type: bool) -> dict[str, Any]:
    """The configuration of `transformers.Aimv2Model`; Apple's code has these sizes in Python.

    Without `model_type`, for Apple's names: transformers would otherwise read them as random weights. Raises
    ValueError for towers that the layout has no place for: AIM v1's trunk, and the sigmoid loss's bias.
    """
    recipe = towers.recipe
    if not isinstance(recipe.encoder, EncoderRecipe):
        raise ValueError("the LiT layout has no place for AIM v1's trunk, only for AIMv2's encoder")
    if recipe.loss == "sigmoid":
        raise ValueError("the LiT layout has no place for the bias of the sigmoid loss: train with --loss softmax")
    text = recipe.text
    sizes = {theirs: getattr(text, ours) for ours, theirs in _TEXT_SIZES.items()}
    named = {"": "aimv2", "vision_config": "aimv2_vision_model", "text_config": "aimv2_text_model"}
    types = {part: {"model_type": kind} if model_type else {} for part, kind in named.items()}
    return {
        **({"architectures": ["Aimv2Model"]} if model_type else {}),
        **types[""],
        "dtype": "float32",
        "projection_dim": recipe.shared_width,
        "vision_config": {**types["vision_config"], **transformers_config(recipe.encoder), "use_head": True},
        "text_config": {**types["text_config"], **sizes, "rms_norm_eps": text.norm_eps, "eos_token_id": end_id},
    }


_TEXT_SIZES = {
    **{ours: theirs for ours, theirs in SIZES.items() if ours in ("width", "depth", "heads", "hidden")},
    "vocabulary": "vocab_size",
    "text_tokens": "max_position_embeddings",
}


def read_towers(tensors: Mapping[str, Tensor], config: Mapping[str, Any], place: object) -> TwoTowers:
    """Two towers out of a file of the released layout and its configuration, without which the released sizes hold.

    Raises ValueError where there is no text tower, or another kind of one, and where tensors are missing, left over or
    of another shape.
    """
    if not any(name.startswith(("text_encoder.", "text_model.")) for name in tensors):
        raise ValueError(f"{place} holds no text tower: aimv2_lab.load_encoder reads its image encoder")
    names = LIT_NAMES["apple" if any(name.startswith("image_encoder.") for name in tensors) else "transformers"]
    vision, text = config.get("vision_config", {}), config.get("text_config", {})
    check_kind(text, f"{place}: text_config")
    released = TextTowerRecipe()
    sizes = {ours: text.get(theirs, getattr(released, ours)) for ours, theirs in _TEXT_SIZES.items()}
    learned = names.towers[0].theirs + names.towers[0].names.theirs("positions")[0] in tensors
    recipe = ContrastiveRecipe(
        "lit",
        encoder_recipe_of(vision, learned, place),
        TextTowerRecipe(**sizes, norm_eps=text.get("rms_norm_eps", released.norm_eps)),
        # transformers' own default is 512, which the released model overrules.
        shared_width=config.get("projection_dim", 768),
    )
    with torch.device("meta"):
        towers = TwoTowers(recipe)
    ours = towers.state_dict()
    whose = f"{names.library}'s LiT model's" + (
        "" if config else ", and the sizes the released ones: no config.json says"
    )
    check_tensors(tensors, towers_to_theirs(ours, names), place, whose)
    towers.load_state_dict(towers_from_theirs(tensors, ours, names), assign=True)
    return towers.float().eval()
