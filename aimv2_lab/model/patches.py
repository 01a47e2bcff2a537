"""Pictures to patches and back, and the pixel target: each patch standardised by its own mean and deviation."""

from __future__ import annotations

from typing import NamedTuple

from einops import rearrange
from torch import Tensor

TARGET_EPS = 1e-6  # inside the square root, as in the released training code


class Standardised(NamedTuple):
    """Patches with their own statistics taken out: `values` (B, I, K), `mean` and `deviation` (B, I, 1)."""

    values: Tensor
    mean: Tensor
    deviation: Tensor


def check_image_size(height: int, width: int, patch_size: int) -> None:
    """Raise ValueError unless both sides are positive multiples of the patch size."""
    for side, pixels in (("height", height), ("width", width)):
        if pixels <= 0 or pixels % patch_size:
            raise ValueError(
                f"image {side} {pixels} is not a multiple of the patch size {patch_size}; resize or crop the image to "
                f"{max(pixels // patch_size, 1) * patch_size} or {(pixels // patch_size + 1) * patch_size} pixels"
            )


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Cut pictures (B, 3, height, width) into patches (B, I, K) in raster order.

    Inside a patch the K values run over rows, then columns, then channels (released training code). Raises ValueError
    when a side is not a multiple of the patch size.
    """
    check_image_size(images.shape[-2], images.shape[-1], patch_size)
    pattern = "b c (rows p) (columns q) -> b (rows columns) (p q c)"
    return rearrange(images, pattern, p=patch_size, q=patch_size)


def unpatchify(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Put patches (B, I, K) back together into pictures (B, 3, height, width); the inverse of `patchify`.

    `grid` is (rows, columns) of patches. Raises ValueError when it does not hold I patches, or K does not fit.
    """
    rows, columns = grid
    if patches.shape[2] != 3 * patch_size**2:
        raise ValueError(
            f"patches of {patch_size} x {patch_size} hold {3 * patch_size**2} values, not {patches.shape[2]}"
        )
    if rows * columns != patches.shape[1]:
        raise ValueError(f"a grid of {rows} x {columns} holds {rows * columns} patches, not {patches.shape[1]}")
    pattern = "b (rows columns) (p q c) -> b c (rows p) (columns q)"
    return rearrange(patches, pattern, rows=rows, columns=columns, p=patch_size, q=patch_size, c=3)


def standardise(patches: Tensor) -> Standardised:
    """Standardise every patch (B, I, K) by its own mean and unbiased variance over the K values.

    Source: paper, section 2.1 (normalised pixels as in MAE); unbiased variance and eps from the released training code.
    """
    mean = patches.mean(dim=-1, keepdim=True)
    deviation = (patches.var(dim=-1, keepdim=True, unbiased=True) + TARGET_EPS).sqrt()
    return Standardised((patches - mean) / deviation, mean, deviation)


def unstandardise(values: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Give standardised values (B, I, K) a mean and deviation (B, I, 1) again; the inverse of `standardise`."""
    return values * deviation + mean
