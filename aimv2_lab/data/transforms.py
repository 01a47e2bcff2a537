"""From a picture to the normalised tensor the encoder takes, for training and for evaluation, and back for viewing."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aimv2_lab.recipes import DataRecipe

CROP_TRIES = 10


def random_resized_crop_box(
    width: int,
    height: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Draw the box (left, top, right, bottom), in pixels, of a random crop.

    Its share of the area is uniform on `scale`, its width / height log-uniform on `ratio`, its place uniform. After
    ten draws that do not fit, it is the largest central box within `ratio`. Source: the RandomResizedCrop of common
    use; ranges in the paper, Table A1.
    """
    for _ in range(CROP_TRIES):
        area = width * height * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1])))
        box_width, box_height = (
            round(math.sqrt(area * aspect)),
            round(math.sqrt(area / aspect)),
        )
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(generator.integers(width - box_width + 1))
            top = int(generator.integers(height - box_height + 1))
            return left, top, left + box_width, top + box_height
    box_width = min(width, max(1, round(height * ratio[1])))
    box_height = min(height, max(1, round(width / ratio[0])))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def training_view(
    pixels: np.ndarray,
    data_recipe: DataRecipe,
    size: int,
    generator: np.random.Generator,
) -> Tensor:
    """A random crop of 8-bit pixels (height, width, 3), resized, maybe flipped, normalised: (3, size, size) float32.

    Cut first and then resized (bicubic, antialiased), as torchvision does; within 4 levels of 255 of Pillow, 0.01 in
    the mean, and faster. Source: paper, Table A1.
    """
    flipped = generator.random() < data_recipe.flip_probability  # first: a crop draws now more, now fewer numbers
    height, width = pixels.shape[:2]
    left, top, right, bottom = random_resized_crop_box(
        width, height, data_recipe.crop_scale, data_recipe.crop_ratio, generator
    )
    view = _resized(pixels[top:bottom, left:right], size)
    return _normalised(view[:, ::-1] if flipped else view, data_recipe)


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """The same 8-bit pixels (height, width, 3) as (size, size, 3)."""
    if pixels.shape[:2] == (size, size):
        return pixels
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]  # a copy: torch wants to be able to write
    found = torch.nn.functional.interpolate(images, (size, size), mode="bicubic", antialias=True)
    return found[0].permute(1, 2, 0).numpy()


def evaluation_view(image: Image.Image, data_recipe: DataRecipe, size: int) -> Tensor:
    """Shortest side resized to `size` (bicubic, antialiased), centre crop, normalised: (3, size, size) float32.

    Only the crop is computed, so that no very long picture is ever enlarged whole. Source: the usual evaluation view.
    """
    width, height = image.size
    short = min(width, height)
    long_width, long_height = size * width // short, size * height // short
    left, top = round((long_width - size) / 2), round((long_height - size) / 2)
    across, down = (
        width / long_width,
        height / long_height,
    )  # pixels of the file in one pixel of the view
    box = (left * across, top * down, (left + size) * across, (top + size) * down)
    return _normalised(np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box)), data_recipe)


def denormalise(images: Tensor, data_recipe: DataRecipe) -> Tensor:
    """Undo the normalisation for viewing: (..., 3, height, width) to the same shape, clipped to 0 … 1."""
    mean, std = _constants(data_recipe)
    return (images * std.to(images) + mean.to(images)).clamp(0, 1)


def _normalised(view: np.ndarray, data_recipe: DataRecipe) -> Tensor:
    """8-bit pixels (height, width, 3) as (3, height, width) float32."""
    # In numpy: torch takes seven times as long, and would wake its threads for every picture, as resizing does not.
    mean, std = (constant.numpy() for constant in _constants(data_recipe))
    pixels = view.transpose(2, 0, 1).astype(np.float32, order="C")
    pixels /= 255  # in place: three arrays less for every picture
    pixels -= mean
    pixels /= std
    return torch.from_numpy(pixels)


def _constants(data_recipe: DataRecipe) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the channels, (3, 1, 1) each."""
    return torch.tensor(data_recipe.mean).view(3, 1, 1), torch.tensor(data_recipe.std).view(3, 1, 1)
