"""Pictures of their own aspect ratio in whole patches, and the strips that batches hold them in."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from aimv2_lab.data.transforms import channels_first, random_resized_crop_box, resized
from aimv2_lab.grids import fitted_grid
from aimv2_lab.recipes import DataRecipe


def native_training_picture(
    pixels: np.ndarray, data_recipe: DataRecipe, area: int, patch_size: int, generator: np.random.Generator
) -> Tensor:
    """A random crop of 8-bit pixels (height, width, 3), maybe flipped, resized to whole patches, at most `area` of
    them: (3, rows * patch_size, columns * patch_size) uint8.

    The crop is `training_picture`'s, but that crop_ratio multiplies the picture's own ratio of width to height, which
    is our choice: absolute, it would leave nothing of it. The grid is `fitted_grid`'s.
    """
    flipped = generator.random() < data_recipe.flip_probability
    height, width = pixels.shape[:2]
    narrowest, widest = (factor * width / height for factor in data_recipe.crop_ratio)
    box = random_resized_crop_box(width, height, data_recipe.crop_scale, (narrowest, widest), generator)
    left, top, right, bottom = box
    grid = fitted_grid(right - left, bottom - top, area)
    view = resized(pixels[top:bottom, left:right], (grid.rows * patch_size, grid.columns * patch_size))
    return channels_first(view[:, ::-1] if flipped else view)


def native_evaluation_picture(image: Image.Image, area: int, patch_size: int) -> Tensor:
    """The whole picture, resized (bicubic, antialiased) to whole patches, at most `area` of them, as
    `native_training_picture`."""
    grid = fitted_grid(image.width, image.height, area)
    size = (grid.columns * patch_size, grid.rows * patch_size)
    return channels_first(np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC)))


def strip_of(picture: Tensor, patch_size: int) -> Tensor:
    """The patches of a picture (3, rows * p, columns * p) side by side in raster order: (3, p, patches * p)."""
    return rearrange(picture, "c (rows p) (columns q) -> c p (rows columns q)", p=patch_size, q=patch_size)


def padded_strip(strip: Tensor, patches: int, mean: tuple[float, float, float]) -> Tensor:
    """A strip (3, p, width) lengthened to so many patches, in the mean colour: zero after normalising, to half a level
    of 255."""
    more = patches * strip.shape[1] - strip.shape[2]
    colour = torch.tensor([round(255 * value) for value in mean], dtype=strip.dtype)
    return torch.cat([strip, colour[:, None, None].expand(3, strip.shape[1], more)], dim=2)
