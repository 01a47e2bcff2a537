"""Where in a picture the pixel loss sits: every patch's error, under every prefix length, and what the patch shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from einops import reduce
from torch import Tensor

from aimv2_lab.data.world.render import masks
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import counted_outputs, pixel_errors

Kind = Literal["ground", "an object begins", "an object goes on"]
KINDS: tuple[Kind, ...] = ("ground", "an object goes on", "an object begins")


@torch.no_grad()
def errors_by_prefix(model: AIMv2, images: Tensor) -> Tensor:
    """Errors (B, I-1, I-1) of images (B, 3, height, width): picture, prefix length M = 1 … I-1, output 0 … I-2.

    The caption plays no part: image slots come first, and see no text. Errors of outputs that do not count are there
    as well; `counted` says which do.
    """
    size, patches = model.recipe.encoder.patch_size, model.recipe.encoder.patches
    no_text = torch.empty(len(images), 0, dtype=torch.long)

    def errors(prefix_length: int) -> Tensor:
        lengths = torch.full((len(images),), prefix_length)
        return pixel_errors(model(images, no_text, lengths).pixels, images, size)

    return torch.stack([errors(length) for length in range(1, patches)], dim=1)


def counted(patches: int) -> Tensor:
    """Which outputs count (I-1, I-1) under each prefix length 1 … I-1."""
    return counted_outputs(torch.arange(1, patches), patches)


def counted_mean(errors: Tensor) -> Tensor:
    """Errors (B, I-1, I-1) averaged over the prefix lengths under which the output counts: (B, I-1)."""
    counts = counted(errors.shape[-1] + 1)
    return errors.masked_fill(~counts, 0.0).sum(dim=1) / counts.sum(dim=0)


def patch_kinds(source: WorldSource, indices: Sequence[int], size: int, patch_size: int) -> Tensor:
    """What patches 1 … I-1 of generated scenes show (B, I-1), as places in KINDS.

    An object begins in the first patch, in raster order, that holds a pixel of it; where another begins, too, the
    patch counts as a beginning. Nothing before shows that the object is there.
    """
    return torch.stack([_kinds_of(source, index, size, patch_size) for index in indices])


def _kinds_of(source: WorldSource, index: int, size: int, patch_size: int) -> Tensor:
    pixels = torch.tensor(masks(source.scene(index), size, visible=True))
    pattern = "objects (rows p) (columns q) -> objects (rows columns)"
    held = reduce(pixels.float(), pattern, "max", p=patch_size, q=patch_size) > 0
    begins = held & (held.cumsum(dim=1) == 1)
    kinds = held.any(dim=0).long() + begins.any(dim=0).long()
    return kinds[1:]
