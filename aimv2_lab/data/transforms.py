"""From a picture to the normalised tensor the encoder takes, for training and for evaluation, and back for viewing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aimv2_lab.fields import check_range
from aimv2_lab.recipes import DataRecipe

CROP_TRIES = 10
LONG = 16  # times the shortest side; longer pictures are not enlarged whole


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
    return _normalised(view[:, ::-1] if flipped else view, data_recipe.mean, data_recipe.std)


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """The same 8-bit pixels (height, width, 3) as (size, size, 3)."""
    if pixels.shape[:2] == (size, size):
        return pixels
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]  # a copy: torch wants to be able to write
    found = torch.nn.functional.interpolate(images, (size, size), mode="bicubic", antialias=True)
    return found[0].permute(1, 2, 0).numpy()


@dataclass(frozen=True)
class Preprocessing:
    """From any picture to what an encoder takes, nothing in it random.

    The shortest side becomes `shortest_side` pixels (bicubic, antialiased; None: as it is), the middle of `crop` x
    `crop` is kept (None: all, cut at the right and bottom to multiples of `multiple`, as a patch convolution reads it),
    and the channels of 0 … 1 are normalised by `mean` and `std`. Source: the processors of the released checkpoints,
    whose native one neither resizes nor crops. Raises ValueError for a crop larger than what it is cut from.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shortest_side: int | None
    crop: int | None
    multiple: int = 1

    def __post_init__(self) -> None:
        for name in ("shortest_side", "crop", "multiple"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 1)
        if self.crop and self.shortest_side and self.crop > self.shortest_side:
            raise ValueError(f"crop = {self.crop} is larger than shortest_side = {self.shortest_side}")

    def __call__(self, image: Image.Image) -> Tensor:
        """Normalised (3, height, width) float32; raises ValueError for a picture smaller than the crop."""
        rgb = image.convert("RGB")
        resized = self._resized(*rgb.size)
        sides = [self.crop or side // self.multiple * self.multiple for side in resized]
        if any(not 0 < side <= whole for side, whole in zip(sides, resized, strict=True)):
            raise ValueError(
                f"a picture of {rgb.width} x {rgb.height} is too small for {self.crop or self.multiple} pixels a side; "
                "enlarge it first"
            )
        # Down to the pixel, as transformers' processors round; torchvision rounds to the nearest.
        left, top = ((whole - side) // 2 if self.crop else 0 for side, whole in zip(sides, resized, strict=True))
        box = (left, top, left + sides[0], top + sides[1])
        return _normalised(np.asarray(_resized_part(rgb, resized, box)), self.mean, self.std)

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if self.shortest_side is None:
            return width, height
        short = min(width, height)
        return self.shortest_side * width // short, self.shortest_side * height // short

    def at(self, image_size: int) -> Preprocessing:
        """The same for crops of another size; without a crop, any size is right already."""
        if self.crop is None:
            return self
        side = None if self.shortest_side is None else round(self.shortest_side * image_size / self.crop)
        return replace(self, shortest_side=side, crop=image_size)


def _resized_part(image: Image.Image, resized: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """The part in `box` (left, top, right, bottom) of a picture resized to (width, height), bicubic, antialiased.

    Of a very long picture only the part is computed, to within a level of 255: enlarged whole it would not fit.
    """
    if max(resized) <= LONG * min(resized):
        return image.resize(resized, Image.Resampling.BICUBIC).crop(box)
    across, down = image.width / resized[0], image.height / resized[1]  # pixels of the file in one of the view
    inside = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    size = (box[2] - box[0], box[3] - box[1])
    return image.resize(size, Image.Resampling.BICUBIC, box=inside)


def evaluation_preprocessing(data_recipe: DataRecipe, size: int) -> Preprocessing:
    """What an encoder trained on this recipe's pictures is evaluated on: the usual evaluation view, nothing cut off
    along the shortest side."""
    return Preprocessing(data_recipe.mean, data_recipe.std, shortest_side=size, crop=size)


def evaluation_view(image: Image.Image, data_recipe: DataRecipe, size: int) -> Tensor:
    """Shortest side resized to `size`, the middle kept, normalised: (3, size, size) float32."""
    return evaluation_preprocessing(data_recipe, size)(image)


def denormalise(images: Tensor, data_recipe: DataRecipe) -> Tensor:
    """Undo the normalisation for viewing: (..., 3, height, width) to the same shape, clipped to 0 … 1."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (data_recipe.mean, data_recipe.std))
    return (images * std.to(images) + mean.to(images)).clamp(0, 1)


def _normalised(view: np.ndarray, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """8-bit pixels (height, width, 3) as (3, height, width) float32."""
    # In numpy: torch takes seven times as long, and would wake its threads for every picture, as resizing does not.
    pixels = view.transpose(2, 0, 1).astype(np.float32, order="C")
    pixels /= 255  # in place: three arrays less for every picture
    pixels -= np.array(mean, np.float32)[:, None, None]
    pixels /= np.array(std, np.float32)[:, None, None]
    return torch.from_numpy(pixels)
