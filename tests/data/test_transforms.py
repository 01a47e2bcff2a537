import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aimv2_lab.data.preprocessing import evaluation_picture, evaluation_view
from aimv2_lab.data.transforms import (
    PixelScale,
    denormalise,
    normalise,
    pixel_scale,
    random_resized_crop_box,
    training_picture,
)
from aimv2_lab.recipes import DataRecipe
from aimv2_lab.recipes.data import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD
from tests.data.generated import picture

PLAIN = DataRecipe(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip_probability=0.0)


def boxes(width: int, height: int, count: int = 2000) -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.array(
        [random_resized_crop_box(width, height, (0.4, 1.0), (0.75, 4 / 3), generator) for _ in range(count)]
    )


@pytest.mark.parametrize("size", [(200, 200), (300, 200), (120, 500), (13, 9), (1, 1)])
def test_boxes_lie_inside_the_picture(size: tuple[int, int]) -> None:
    left, top, right, bottom = boxes(*size, count=300).T
    assert (left >= 0).all() and (top >= 0).all() and (right <= size[0]).all() and (bottom <= size[1]).all()
    assert (right > left).all() and (bottom > top).all()


def test_boxes_have_the_areas_and_ratios_asked_for() -> None:
    left, top, right, bottom = boxes(400, 400).T
    share = (right - left) * (bottom - top) / 400**2
    ratio = (right - left) / (bottom - top)
    assert share.min() > 0.39
    assert 0.74 < ratio.min() < 0.77 and 1.30 < ratio.max() < 1.35
    # log-uniform: as often taller than wide as wider than tall
    assert abs(np.log(ratio).mean()) < 0.02


def test_the_area_is_uniform_and_the_place_too() -> None:
    generator = np.random.default_rng(0)
    drawn = [random_resized_crop_box(400, 400, (0.1, 0.5), (1.0, 1.0), generator) for _ in range(2000)]
    left, top, right, bottom = np.array(drawn).T
    shares = (right - left) * (bottom - top) / 400**2
    assert np.abs(np.quantile(shares, [0.25, 0.5, 0.75]) - [0.2, 0.3, 0.4]).max() < 0.02
    for start, length in ((left, right - left), (top, bottom - top)):
        assert np.abs(np.quantile(start / (400 - length), [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.04


@pytest.mark.parametrize(("size", "box"), [((800, 100), (333, 0, 467, 100)), ((100, 800), (0, 333, 100, 467))])
def test_a_picture_too_narrow_for_any_crop_gives_its_centre(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    limits = (0.75, 4 / 3)
    assert (
        np.abs(np.subtract(random_resized_crop_box(*size, (0.9, 1.0), limits, np.random.default_rng(0)), box)).max()
        <= 1
    )


def test_a_picture_of_the_right_size_comes_through_exactly() -> None:
    image = picture(1, 48, 48)
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    training = training_picture(np.asarray(image), PLAIN, 48, np.random.default_rng(3))
    for view in (training, evaluation_picture(image, 48)):
        assert view.shape == (3, 48, 48) and view.dtype == torch.uint8
        assert torch.equal(view, expected)
    assert torch.equal(evaluation_view(image, PLAIN, 48), normalise(expected, pixel_scale(PLAIN)))
    assert torch.equal((denormalise(evaluation_view(image, PLAIN, 48), PLAIN) * 255).round(), expected.float())


@pytest.mark.parametrize("scale", [(CLIP_MEAN, CLIP_STD), (IMAGENET_MEAN, IMAGENET_STD)], ids=["CLIP", "ImageNet"])
def test_normalising_has_the_bits_of_numpys_arithmetic(scale: tuple[Any, Any]) -> None:
    """All 256 values in all three channels of two pictures, as (value / 255 - mean) / deviation in float32."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pictures = np.stack([np.stack([values, values.T, values[::-1]]), np.stack([values] * 3)])
    mean, std = (np.array(numbers, dtype=np.float32).reshape(3, 1, 1) for numbers in scale)
    expected = (pictures.astype(np.float32) / np.float32(255) - mean) / std
    found = normalise(torch.from_numpy(pictures), PixelScale(*scale))
    assert found.dtype == torch.float32 and np.array_equal(found.numpy().view(np.int32), expected.view(np.int32))
    one = normalise(torch.from_numpy(pictures[0, :, 3:5, 2:9]), PixelScale(*scale))  # short rows, not contiguous
    assert np.array_equal(one.numpy(), expected[0, :, 3:5, 2:9])


def test_normalisation_is_the_recipes() -> None:
    grey = Image.new("RGB", (16, 16), (51, 102, 204))
    recipe = replace(PLAIN, mean=(0.1, 0.4, 0.2), std=(0.5, 0.25, 0.1))
    assert torch.allclose(evaluation_view(grey, recipe, 16)[:, 0, 0], torch.tensor([0.2, 0.0, 6.0]), atol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_flips_happen_as_often_as_asked(probability: float) -> None:
    image = picture(2, 16, 16)
    upright = training_picture(np.asarray(image), PLAIN, 16, np.random.default_rng(0))
    recipe = replace(PLAIN, flip_probability=probability)
    views = [training_picture(np.asarray(image), recipe, 16, np.random.default_rng(seed)) for seed in range(500)]
    flipped = sum(torch.equal(view, upright.flip(2)) for view in views)
    assert flipped + sum(torch.equal(view, upright) for view in views) == 500
    assert abs(flipped / 500 - probability) < 0.06


def test_a_training_view_is_the_crop_seen_larger() -> None:
    """A picture whose colours are its coordinates tells which part of it a view shows."""
    across, down = np.meshgrid(np.arange(256), np.arange(256))
    image = Image.fromarray(np.stack([across, down, across * 0], axis=-1).astype(np.uint8))
    recipe = DataRecipe(flip_probability=0.0)
    for seed in range(5):
        generator = np.random.default_rng(seed)
        generator.random()  # the flip's draw
        left, top, right, bottom = random_resized_crop_box(256, 256, recipe.crop_scale, recipe.crop_ratio, generator)
        view = training_picture(np.asarray(image), recipe, 64, np.random.default_rng(seed)).float()
        expected_across = torch.linspace(left, right - 1, 64)
        expected_down = torch.linspace(top, bottom - 1, 64)
        assert (view[0] - expected_across[None, :]).abs().max() < 4
        assert (view[1] - expected_down[:, None]).abs().max() < 4


@pytest.mark.parametrize("size", [(97, 50), (300, 240), (20, 15)])
def test_a_training_view_is_pillows_of_the_same_crop(size: tuple[int, int]) -> None:
    """Smaller or larger, to a few levels of 255."""
    image, recipe = picture(4, *size), DataRecipe(flip_probability=0.0)
    for seed in range(5):
        generator = np.random.default_rng(seed)
        generator.random()
        box = random_resized_crop_box(*size, recipe.crop_scale, recipe.crop_ratio, generator)
        expected = np.asarray(image.crop(box).resize((64, 64), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        view = training_picture(np.asarray(image), recipe, 64, np.random.default_rng(seed))
        apart = np.abs(view.numpy().astype(float) - expected)
        assert apart.max() <= 4 and apart.mean() < 0.2


@pytest.mark.parametrize("size", [(97, 50), (50, 97), (64, 64), (31, 200), (20, 15)])
def test_the_evaluation_view_is_resize_then_centre_crop(size: tuple[int, int]) -> None:
    image = picture(4, *size)
    short = min(size)
    long_width, long_height = 32 * size[0] // short, 32 * size[1] // short
    resized = image.resize((long_width, long_height), Image.Resampling.BICUBIC)
    left, top = (long_width - 32) // 2, (long_height - 32) // 2
    expected = np.asarray(resized.crop((left, top, left + 32, top + 32))).transpose(2, 0, 1)
    view = evaluation_picture(image, 32).numpy()
    assert np.abs(view.astype(float) - expected).max() <= 1.01


def test_shrinking_is_antialiased() -> None:
    stripes = Image.fromarray(np.tile(np.array([[[0] * 3], [[255] * 3]], dtype=np.uint8), (128, 256, 1)))
    view = training_picture(np.asarray(stripes), PLAIN, 64, np.random.default_rng(0)) / 255
    assert (view - 0.5).abs().max() < 0.06  # unfiltered, every pixel would be 0.5 away


def test_a_very_long_picture_is_never_enlarged_whole() -> None:
    long = Image.new("RGB", (2_000_000, 8))  # enlarged whole to a side of 224: 12.5 billion pixels
    assert evaluation_picture(long, 224).shape == (3, 224, 224)
    assert training_picture(np.asarray(long), DataRecipe(), 224, np.random.default_rng(0)).shape == (3, 224, 224)


def test_denormalise_undoes_batches_and_clips() -> None:
    images = torch.stack([evaluation_view(picture(number, 16, 16), PLAIN, 16) for number in range(3)])
    assert denormalise(images, PLAIN).shape == images.shape
    assert denormalise(images * 100, PLAIN).min() == 0 and denormalise(images * 100, PLAIN).max() == 1
    assert math.isclose(float(denormalise(torch.zeros(3, 1, 1), PLAIN)[1]), PLAIN.mean[1], rel_tol=1e-6)
