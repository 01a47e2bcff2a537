"""Preprocessing as transformers' processors say it in preprocessor_config.json, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.recipes.data import CLIP_MEAN, CLIP_STD

PROCESSOR_FILE = "preprocessor_config.json"
_BICUBIC = 3
_RESCALE = 1 / 255


def processor_config(preprocessing: Preprocessing) -> dict[str, Any]:
    """The settings of a `CLIPImageProcessor` that does the same; sides and crop that are not used are left out."""
    side, crop = preprocessing.shortest_side, preprocessing.crop
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": side is not None,
        **({} if side is None else {"size": {"shortest_edge": side}}),
        "resample": _BICUBIC,
        "do_center_crop": crop is not None,
        **({} if crop is None else {"crop_size": {"height": crop, "width": crop}}),
        "do_rescale": True,
        "rescale_factor": _RESCALE,
        "do_normalize": True,
        "image_mean": [*preprocessing.mean],
        "image_std": [*preprocessing.std],
    }


def read_processor(config: Mapping[str, Any], patch_size: int, place: object) -> Preprocessing:
    """What a processor's settings say; what they leave out is as in `CLIPImageProcessor`.

    Raises ValueError naming a setting that our preprocessing does not have, such as another filter than bicubic.
    """
    fixed = {"do_rescale": True, "rescale_factor": _RESCALE, "do_normalize": True, "resample": _BICUBIC}
    for name, value in fixed.items():
        if config.get(name, value) != value:
            raise ValueError(f"{place}: {name} = {config[name]!r}; only {value!r} is read")
    resizes, crops = (config.get(name, True) for name in ("do_resize", "do_center_crop"))
    side = _side(config.get("size", 224), {"shortest_edge"}, place) if resizes else None
    crop = _side(config.get("crop_size", 224), {"height", "width"}, place) if crops else None
    mean, std = (
        tuple(config.get(name, default)) for name, default in (("image_mean", CLIP_MEAN), ("image_std", CLIP_STD))
    )
    return Preprocessing(mean, std, side, crop, patch_size)


def _side(size: object, keys: set[str], place: object) -> int:
    """The one number that a size says, itself or under these keys."""
    if isinstance(size, Mapping) and size.keys() == keys and len({*size.values()}) == 1:
        size = next(iter(size.values()))
    if type(size) is not int:
        raise ValueError(f"{place}: the size {size!r} is no number of pixels, nor one for {' and '.join(sorted(keys))}")
    return size
