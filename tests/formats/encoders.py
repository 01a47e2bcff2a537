"""Small encoders with wide weights, a picture, and how close two results must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.pooling import PoolingHead
from aimv2_lab.recipes import EncoderRecipe
from aimv2_lab.recipes.data import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD

TOLERANCE = 1e-5  # of the largest value; what rounding leaves is a few 1e-6
FIXED = EncoderRecipe(image_size=56, width=64, depth=3, heads=4, hidden=176)
NATIVE = replace(FIXED, positions="sincos")
RELEASED_RULE = replace(FIXED, width=128, heads=1, hidden=512)  # heads of 128, two thirds of 4 D rounded up to 256s

CROPPED = Preprocessing(IMAGENET_MEAN, IMAGENET_STD, shortest_side=64, crop=56, multiple=14)
AS_IT_IS = Preprocessing(CLIP_MEAN, CLIP_STD, shortest_side=None, crop=None, multiple=14)


def wide_encoder(recipe: EncoderRecipe = FIXED, head: bool = False, seed: int = 0) -> VisionEncoder:
    """An encoder, in evaluation mode, in which every weight moves the output."""
    encoder = VisionEncoder(recipe)
    if head:
        encoder.head = PoolingHead(recipe.width, recipe.heads)
    draw_wide_weights(encoder, torch.Generator().manual_seed(seed))
    return encoder.eval()


def photograph(width: int = 151, height: int = 97) -> Image.Image:
    """A picture with edges, gradients and noise, whose sides are no multiples of anything."""
    draw = np.random.default_rng(0)
    shapes = Image.fromarray(draw.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((width, height), 0)
    shades = Image.fromarray(draw.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((width, height), 3)
    noise = draw.normal(0, 12, (height, width, 3))
    mixed = 0.5 * np.asarray(shapes, float) + 0.5 * np.asarray(shades, float) + noise
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def images(count: int = 2, height: int = 56, width: int = 56) -> Tensor:
    """Normalised noise (count, 3, height, width)."""
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    """Equal within the tolerance."""
    assert ours.shape == theirs.shape
    difference, largest = (ours - theirs).abs().max(), theirs.abs().max()
    assert difference <= TOLERANCE * largest, f"differs by {difference:.1e} at values up to {largest:.1e}"


def assert_same_weights(ours: VisionEncoder, other: VisionEncoder) -> None:
    """The same tensors bit by bit, and the same recipe."""
    assert ours.recipe == other.recipe
    weights, others = ours.state_dict(), other.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
