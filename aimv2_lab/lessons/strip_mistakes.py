"""Axes taken for each other: the columns of a picture read off the side that a tensor has its rows in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.sizes import strips_of
from aimv2_lab.model.strips import Strips

MakeStrips = Callable[[Sequence[Tensor], int], tuple[Tensor, Strips]]


def strips_by_the_wrong_side(images: Sequence[Tensor], patch_size: int) -> tuple[Tensor, Strips]:
    """As `strips_of`, with `shape[1]` for the width: so it is in an array (height, width, 3), but in a tensor (3,
    height, width) it is the height."""
    stacked, strips = strips_of(images, patch_size)
    columns = torch.tensor([image.shape[1] // patch_size for image in images])
    return stacked, replace(strips, columns=columns)


@torch.no_grad()
def change_of_features(encoder: VisionEncoder, image: Tensor, make: MakeStrips) -> float:
    """How far the features of an image (3, height, width) as a strip of `make` lie from those of the image itself,
    relative to these."""
    whole = encoder(image[None])
    strips, lie = make([image], encoder.recipe.patch_size)
    return ((encoder(strips, strips=lie) - whole).norm() / whole.norm()).item()
