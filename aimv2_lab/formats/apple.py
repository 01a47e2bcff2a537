"""Our encoder as a file of Apple's released code, and an encoder's sizes read off such a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.formats.huggingface import transformers_config
from aimv2_lab.formats.names import Names
from aimv2_lab.formats.processor import PROCESSOR_FILE, processor_config
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe

_HEAD_WIDTH = 128  # of every released encoder


def apple_files(encoder: VisionEncoder, preprocessing: Preprocessing) -> dict[str, dict[str, Any]]:
    """The JSON files beside the weights, by name: sizes, which Apple's code has in Python, and preprocessing.

    There is no `model_type`: with "aimv2", which Apple's own had, transformers would read the directory as another
    model, with random weights and without an error.
    """
    assert isinstance(encoder.recipe, EncoderRecipe)
    config = {**transformers_config(encoder.recipe), "use_head": encoder.head is not None}
    return {"config.json": config, PROCESSOR_FILE: processor_config(preprocessing)}


def recipe_of_shapes(tensors: Mapping[str, Tensor], names: Names, place: object) -> EncoderRecipe:
    """The encoder that tensors without a configuration belong to, if it is one of the released code's sizes.

    Heads cannot be seen in shapes: they are 128 wide where the feed-forward layer has the width of the released code,
    two thirds of 4 D rounded up to 256s. Raises ValueError for others, and where the tensors it looks at are missing.
    """
    shapes = {}
    for ours in ("patch_projection.weight", "blocks.0.feed_forward.up.weight"):
        (theirs,) = names.theirs(ours)
        if theirs not in tensors:
            raise ValueError(f"{place} has no {theirs}, and no config.json beside it to tell the encoder's sizes")
        shapes[ours] = tensors[theirs].shape
    width, _, patch_size, _ = shapes["patch_projection.weight"]
    hidden = shapes["blocks.0.feed_forward.up.weight"][0]
    if width % _HEAD_WIDTH or hidden != math.ceil((8 * width // 3) / 256) * 256:
        raise ValueError(
            f"{place}: the heads of an encoder of width {width} and hidden width {hidden} cannot be told from its "
            'tensors; put a config.json with "hidden_size", "num_attention_heads", … beside it'
        )
    (positions,) = names.theirs("positions")
    patches = tensors[positions].shape[-2] if positions in tensors else (224 // patch_size) ** 2
    return EncoderRecipe(
        image_size=math.isqrt(patches) * patch_size,
        width=width,
        depth=_depth(tensors, names),
        heads=width // _HEAD_WIDTH,
        hidden=hidden,
        patch_size=patch_size,
        positions="learned" if positions in tensors else "sincos",
    )


def _depth(tensors: Mapping[str, Tensor], names: Names) -> int:
    """One more than the highest number of a block."""
    numbers = [name.removeprefix(names.block).partition(".")[0] for name in tensors if name.startswith(names.block)]
    return max(int(number) for number in numbers if number.isdigit()) + 1
