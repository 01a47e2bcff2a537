"""From any picture to what an encoder takes at inference, nothing in it random."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from torch import Tensor

from aimv2_lab.data.transforms import PixelScale, channels_first, normalise
from aimv2_lab.fields import check_range
from aimv2_lab.grids import MOST_PATCHES, whole_grid
from aimv2_lab.recipes import DataRecipe

LONG = 16  # times the shortest side; longer pictures are not enlarged whole


@dataclass(frozen=True)
class Preprocessing:
    """From any picture to what an encoder takes, nothing in it random.

    The shortest side becomes `shortest_side` pixels (bicubic, antialiased; None: as it is), the middle of `crop` x
    `crop` is kept (None: all), and the channels of 0 … 1 are normalised by `mean` and `std`. Where all is kept, patches
    of `multiple` pixels cover it: each side is resized to the nearest multiple, and together to at most `most` patches,
    as `whole_grid` says. Source: the processors of the released checkpoints, whose native one neither resizes nor
    crops, so that its model loses what does not fill a patch; that nothing is lost here is our choice. Raises
    ValueError for a crop larger than what it is cut from.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shortest_side: int | None
    crop: int | None
    multiple: int = 1
    most: int = MOST_PATCHES

    def __post_init__(self) -> None:
        for name in ("shortest_side", "crop", "multiple", "most"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 1)
        if self.crop and self.shortest_side and self.crop > self.shortest_side:
            raise ValueError(f"crop = {self.crop} is larger than shortest_side = {self.shortest_side}")

    def __call__(self, image: Image.Image) -> Tensor:
        """Normalised (3, height, width) float32; raises ValueError for a picture smaller than the crop."""
        return normalise(self.kept(image), PixelScale(self.mean, self.std))

    def kept(self, image: Image.Image) -> Tensor:
        """What is left of a picture, before it is normalised: (3, height, width) uint8; raises as a call does."""
        return central_picture(image, self.shortest_side, self.crop, self.multiple, self.most)

    def at(self, image_size: int) -> Preprocessing:
        """The same for crops of another size; without a crop, any size is right already."""
        if self.crop is None:
            return self
        side = None if self.shortest_side is None else round(self.shortest_side * image_size / self.crop)
        return replace(self, shortest_side=side, crop=image_size)


def central_picture(
    image: Image.Image,
    shortest_side: int | None,
    crop: int | None = None,
    multiple: int = 1,
    most: int = MOST_PATCHES,
) -> Tensor:
    """`Preprocessing.kept`."""
    rgb = image.convert("RGB")
    short = min(rgb.size)
    resized = rgb.size if shortest_side is None else tuple(shortest_side * side // short for side in rgb.size)
    if crop is None and multiple > 1:
        grid = whole_grid(resized[0], resized[1], multiple, most)
        resized = (grid.columns * multiple, grid.rows * multiple)
    sides = [crop or side for side in resized]
    if any(not 0 < side <= whole for side, whole in zip(sides, resized, strict=True)):
        raise ValueError(f"a picture of {rgb.width} x {rgb.height} is too small for {crop} pixels a side; enlarge it")
    # Down to the pixel, as transformers' processors round; torchvision rounds to the nearest.
    left, top = ((whole - side) // 2 for side, whole in zip(sides, resized, strict=True))
    box = (left, top, left + sides[0], top + sides[1])
    return channels_first(np.asarray(_resized_part(rgb, (resized[0], resized[1]), box)))


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


def evaluation_picture(image: Image.Image, size: int) -> Tensor:
    """Shortest side resized to `size`, the middle kept: (3, size, size) uint8."""
    return central_picture(image, size, size)


def evaluation_view(image: Image.Image, data_recipe: DataRecipe, size: int) -> Tensor:
    """The same, normalised: (3, size, size) float32."""
    return evaluation_preprocessing(data_recipe, size)(image)
