"""RandAugment and colour jitter, for probes that are trained on augmented pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from aimv2_lab.data.transforms import channels_first, training_picture
from aimv2_lab.recipes import DataRecipe
from aimv2_lab.recipes.probing import Augmentation

Colour = tuple[int, int, int]
HIGHEST = 10.0  # magnitudes run from 0 to this
CHANCE = 0.5  # of every drawn operation to be applied


def augmented_picture(
    pixels: np.ndarray, data_recipe: DataRecipe, augmentation: Augmentation, size: int, generator: np.random.Generator
) -> Tensor:
    """8-bit pixels (height, width, 3), cropped, flipped, RandAugmented and jittered: (3, size, size) uint8.

    The crop and the flip are those that `data_recipe` says. What is moved in from outside has the recipe's mean colour.
    Source: paper, Table A2; that jitter comes last is our choice.
    """
    view = training_picture(pixels, data_recipe, size, generator)
    image = Image.fromarray(view.permute(1, 2, 0).contiguous().numpy())
    red, green, blue = (round(255 * value) for value in data_recipe.mean)
    for operation in generator.integers(len(OPERATIONS), size=augmentation.operations):
        if generator.random() < CHANCE:
            drawn = generator.normal(augmentation.magnitude, augmentation.deviation)
            image = OPERATIONS[operation](image, _Draw(min(max(drawn, 0.0), HIGHEST), (red, green, blue), generator))
    return channels_first(np.asarray(_jittered(image, augmentation.colour_jitter, generator)))


class _Draw:
    """The magnitude of one operation, as its share of the highest, and what else the operation may need."""

    def __init__(self, magnitude: float, fill: Colour, generator: np.random.Generator) -> None:
        self.share, self.fill, self._generator = magnitude / HIGHEST, fill, generator

    def either_way(self, most: float) -> float:
        """The share of `most`, with either sign."""
        return self.share * most * (1 if self._generator.random() < 0.5 else -1)


Operation = Callable[[Image.Image, _Draw], Image.Image]


def _moved(image: Image.Image, matrix: tuple[float, ...], draw: _Draw) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=draw.fill)


def _posterized(image: Image.Image, draw: _Draw) -> Image.Image:
    """The more levels are merged the higher the magnitude; at the very highest all are black, as timm has it."""
    return image.point([level & ~(2 ** (8 - _bits(draw)) - 1) for level in range(256)] * 3)


def _bits(draw: _Draw) -> int:
    return 4 - int(4 * draw.share)


def _solarized_by_adding(image: Image.Image, draw: _Draw) -> Image.Image:
    added = int(110 * draw.share)
    return image.point([min(level + added, 255) if level < 128 else level for level in range(256)] * 3)


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, draw: kind(image).enhance(max(0.1, 1 + draw.either_way(0.9)))


# The fifteen of timm's increasing set: the higher the magnitude, the more each changes.
OPERATIONS: tuple[Operation, ...] = (
    lambda image, draw: ImageOps.autocontrast(image),
    lambda image, draw: ImageOps.equalize(image),
    lambda image, draw: ImageOps.invert(image),
    lambda image, draw: image.rotate(draw.either_way(30), Image.Resampling.BICUBIC, fillcolor=draw.fill),
    _posterized,
    lambda image, draw: ImageOps.solarize(image, 256 - int(256 * draw.share)),
    _solarized_by_adding,
    *map(_enhanced, (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)),
    lambda image, draw: _moved(image, (1, draw.either_way(0.3), 0, 0, 1, 0), draw),
    lambda image, draw: _moved(image, (1, 0, 0, draw.either_way(0.3), 1, 0), draw),
    lambda image, draw: _moved(image, (1, 0, draw.either_way(0.45) * image.width, 0, 1, 0), draw),
    lambda image, draw: _moved(image, (1, 0, 0, 0, 1, draw.either_way(0.45) * image.height), draw),
)
_JITTERED = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


def _jittered(image: Image.Image, strength: float, generator: np.random.Generator) -> Image.Image:
    """Brightness, contrast and saturation by factors uniform on 1 ± strength, in a drawn order."""
    if not strength:
        return image
    for kind in generator.permutation(len(_JITTERED)):
        image = _JITTERED[kind](image).enhance(generator.uniform(1 - strength, 1 + strength))
    return image
