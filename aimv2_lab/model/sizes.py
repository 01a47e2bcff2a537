"""Images of different sizes at inference: what is done to sides that patches do not fill, and which are computed
together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from aimv2_lab.grids import whole_grid
from aimv2_lab.model.strips import Strips

SLOTS = 16_384  # patches, padding included, that are computed together, unless one image has more; our choice
LIKE = 0.95  # of the largest image's patches that the smallest beside it has at least: fastest on a CPU (LOG.md)


def whole_patches(image: Tensor, patch_size: int) -> Tensor:
    """An image (3, height, width) with both sides resized to the nearest multiple of the patch size, what is half way
    up (`whole_grid`): the image itself where they are multiples, else bicubic, antialiased, computed in float32 at
    least and returned in its own type. Nothing is cut off.

    Raises ValueError for anything but one floating-point image.
    """
    if image.ndim != 3 or not image.is_floating_point():
        raise ValueError(f"each image of a list must be float (3, height, width), not {image.dtype} {(*image.shape,)}")
    grid = whole_grid(image.shape[2], image.shape[1], patch_size)
    size = (grid.rows * patch_size, grid.columns * patch_size)
    if image.shape[1:] == size:
        return image
    wide = image.to(torch.promote_types(image.dtype, torch.float32))  # on a CPU torch has no such kernel for half types
    return functional.interpolate(wide[None], size, mode="bicubic", antialias=True)[0].to(image.dtype)


def alike(grids: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """The numbers of images that are computed together: such that little is computed with padding, and memory stays
    bounded by one group."""
    counts = [rows * columns for rows, columns in grids]
    group, longest = list[int](), 0
    for number in sorted(range(len(counts)), key=lambda n: -counts[n]):
        if group and (counts[number] < LIKE * longest or longest * (len(group) + 1) > SLOTS):
            yield group
            group = []
        longest = longest if group else counts[number]
        group.append(number)
    if group:
        yield group


def strips_of(images: Sequence[Tensor], patch_size: int) -> tuple[Tensor, Strips]:
    """Images (3, height, width) in whole patches as one batch (B, 3, patch size, N * patch size) of strips, padded with
    zeros, and how they lie there."""
    size, device = patch_size, images[0].device
    strips = [rearrange(image, "c (rows p) (columns q) -> c p (rows columns q)", p=size, q=size) for image in images]
    counts = torch.tensor([strip.shape[2] // size for strip in strips])
    longest = max(strip.shape[2] for strip in strips)
    stacked = torch.stack([functional.pad(strip, (0, longest - strip.shape[2])) for strip in strips])
    columns = torch.tensor([image.shape[2] // size for image in images])
    padded = bool((counts * size < longest).any())
    return stacked, Strips(counts.to(device), columns.to(device), padded)
