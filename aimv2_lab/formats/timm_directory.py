"""Our encoder as a directory that `timm.create_model('local-dir:…')` loads: names, configuration, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe, recipe

_NORM_EPS = 1e-5  # built into timm's models
_ARGUMENTS = {
    "embed_dim": "width",
    "depth": "depth",
    "num_heads": "heads",
    "img_size": "image_size",
    "patch_size": "patch_size",
}
_FIXED = {"in_chans": 3, "num_classes": 0, "global_pool": "avg"}  # what timm writes beside them
_PRETRAINED = {
    "fixed_input_size": True,
    "interpolation": "bicubic",
    "crop_mode": "center",
    "num_classes": 0,
    "first_conv": "patch_embed.proj",
    "classifier": "head",
}


def timm_files(encoder: VisionEncoder, preprocessing: Preprocessing) -> dict[str, dict[str, Any]]:
    """The JSON file of the directory, by name; its preprocessing is in it too.

    timm has a name for the released sizes and resolutions; others are the large encoder's with other arguments. Raises
    ValueError for what timm does not have: sine-cosine positions, a pooling head, another eps, no resizing.
    """
    sizes, side, crop = encoder.recipe, preprocessing.shortest_side, preprocessing.crop
    assert isinstance(sizes, EncoderRecipe)
    if sizes.positions != "learned":
        raise _no_place_for("sine-cosine (native) positions")
    if encoder.head is not None:
        raise _no_place_for("the pooling head")
    if sizes.norm_eps != _NORM_EPS:
        raise _no_place_for(f"norm_eps = {sizes.norm_eps}")
    if crop is None or side is None:
        raise _no_place_for("pictures that are not resized and cropped")
    pretrained = {
        "input_size": [3, sizes.image_size, sizes.image_size],
        "crop_pct": _share(crop, side),
        "mean": [*preprocessing.mean],
        "std": [*preprocessing.std],
        **_PRETRAINED,
    }
    common = {"num_classes": 0, "num_features": sizes.width, "global_pool": "avg", "pretrained_cfg": pretrained}
    return {"config.json": {**_architecture(sizes), **common}}


def _no_place_for(what: str) -> ValueError:
    return ValueError(f"timm's AIMv2 has no place for {what}; export to transformers")


def _architecture(sizes: EncoderRecipe) -> dict[str, Any]:
    for name in ("large", "huge", "1b", "3b"):
        if sizes in (recipe(f"aimv2-{name}-{side}").encoder for side in (224, 336, 448)):
            return {"architecture": f"aimv2_{name}_patch14_{sizes.image_size}"}
    arguments = {theirs: getattr(sizes, ours) for theirs, ours in _ARGUMENTS.items()}
    ratio = sizes.hidden / sizes.width
    if int(sizes.width * ratio) < sizes.hidden:  # timm rounds down what floating point may have left too small
        ratio = math.nextafter(ratio, math.inf)
    return {"architecture": "aimv2_large_patch14_224", "model_args": {**arguments, "mlp_ratio": ratio}}


def _share(crop: int, side: int) -> float:
    """The crop's share of the shortest side, such that timm's floor of crop / share is the side again."""
    share = crop / side
    return share if math.floor(crop / share) == side else math.nextafter(share, 0)


def timm_recipe(config: Mapping[str, Any], place: object) -> EncoderRecipe:
    """The encoder that a configuration names; raises ValueError for other architectures and arguments."""
    known = re.fullmatch(r"aimv2_(large|huge|1b|3b)_patch14_(224|336|448)(\..*)?", str(config["architecture"]))
    if known is None:
        raise ValueError(f"{place}: architecture = {config['architecture']!r} is none of timm's AIMv2 encoders")
    sizes = recipe(f"aimv2-{known[1]}-{known[2]}").encoder
    assert isinstance(sizes, EncoderRecipe)
    given = config.get("model_args") or {}
    arguments = {name: value for name, value in given.items() if name not in _FIXED or _FIXED[name] != value}
    changes: dict[str, Any] = {
        _ARGUMENTS[name]: _number(name, arguments.pop(name), place) for name in _ARGUMENTS if name in arguments
    }
    sizes = replace(sizes, **changes)
    if "mlp_ratio" in arguments:
        sizes = replace(sizes, hidden=int(sizes.width * arguments.pop("mlp_ratio")))
    elif "width" in changes:
        raise ValueError(f"{place}: model_args has embed_dim without mlp_ratio; write both")
    if arguments:
        raise ValueError(f"{place}: model_args {arguments!r} are not read; they make another model of AIMv2's encoder")
    return sizes


def timm_preprocessing(config: Mapping[str, Any], place: object) -> Preprocessing:
    """What the configuration says of pictures; raises ValueError for another filter or place of the crop."""
    about = config.get("pretrained_cfg") or {}
    for name, value in (("interpolation", "bicubic"), ("crop_mode", "center")):
        if about.get(name, value) != value:
            raise ValueError(f"{place}: {name} = {about[name]!r}; only {value!r} is read")
    missing = [name for name in ("input_size", "mean", "std") if name not in about]
    if missing:
        raise ValueError(
            f"{place}: pretrained_cfg has no {', '.join(missing)}, and so does not say how pictures are read"
        )
    crop = int(about["input_size"][-1])
    side = math.floor(crop / about.get("crop_pct", 1.0))
    return Preprocessing(tuple(about["mean"]), tuple(about["std"]), side, crop)


def _number(name: str, value: object, place: object) -> int:
    if isinstance(value, list | tuple) and len({*value}) == 1:
        value = value[0]
    if type(value) is not int:
        raise ValueError(f"{place}: {name} = {value!r}; it must be one whole number")
    return value
