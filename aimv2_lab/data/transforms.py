"""From pixels to a training picture of the encoder's size, to the normalised image it takes, and back for viewing."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from aimv2_lab.recipes import DataRecipe

CROP_TRIES = 10


class PixelScale(NamedTuple):
    """Mean and deviation of each channel, for pixels from 0 to 1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


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


def training_picture(
    pixels: np.ndarray,
    data_recipe: DataRecipe,
    size: int,
    generator: np.random.Generator,
) -> Tensor:
    """A random crop of 8-bit pixels (height, width, 3), resized and maybe flipped: (3, size, size) uint8.

    Cut first and then resized (bicubic, antialiased), as torchvision does; within 4 levels of 255 of Pillow, 0.01 in
    the mean, and faster. Source: paper, Table A1.
    """
    flipped = generator.random() < data_recipe.flip_probability  # first: a crop draws now more, now fewer numbers
    height, width = pixels.shape[:2]
    left, top, right, bottom = random_resized_crop_box(
        width, height, data_recipe.crop_scale, data_recipe.crop_ratio, generator
    )
    view = resized(pixels[top:bottom, left:right], (size, size))
    return channels_first(view[:, ::-1] if flipped else view)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The same 8-bit pixels (height, width, 3) in another (height, width), bicubic, antialiased."""
    if pixels.shape[:2] == size:
        return pixels
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]  # a copy: torch wants to be able to write
    found = torch.nn.functional.interpolate(images, size, mode="bicubic", antialias=True)
    return found[0].permute(1, 2, 0).numpy()


class Scaled(Protocol):
    """What knows mean and deviation of the channels: a recipe's data, a `Preprocessing`."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Of pixels from 0 to 1."""
        ...

    @property
    def std(self) -> tuple[float, float, float]:
        """Of pixels from 0 to 1."""
        ...


def pixel_scale(scaled: Scaled) -> PixelScale:
    """What a recipe, or an encoder's preprocessing, normalises by."""
    return PixelScale(scaled.mean, scaled.std)


def normalise(pictures: Tensor, scale: PixelScale) -> Tensor:
    """8-bit pictures (..., 3, height, width) as (value / 255 - mean) / deviation, float32, on the device they are on.

    The same bits as numpy's on the CPU.
    """
    mean, std = _constants(scale, pictures.device)
    levels = torch.full((), 255.0, device=pictures.device)  # no number: CUDA would multiply by its reciprocal
    return pictures.to(torch.float32).div_(levels).sub_(mean).div_(std)


def denormalise(images: Tensor, scaled: Scaled) -> Tensor:
    """Undo the normalisation for viewing: (..., 3, height, width) to the same shape, clipped to 0 … 1."""
    mean, std = _constants(pixel_scale(scaled), images.device)
    return (images * std.to(images) + mean.to(images)).clamp(0, 1)


def channels_first(view: np.ndarray) -> Tensor:
    """A copy of 8-bit pixels (height, width, 3) as (3, height, width)."""
    return torch.from_numpy(np.array(view.transpose(2, 0, 1), order="C"))


def _constants(scale: PixelScale, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the channels, (3, 1, 1) float32 each, made on the device: sending them would be waited
    for."""
    filled = partial(torch.full, (1, 1, 1), dtype=torch.float32, device=device)
    mean, std = (torch.cat([filled(value) for value in values]) for values in scale)
    return mean, std
