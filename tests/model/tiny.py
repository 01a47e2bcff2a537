"""A recipe and models small enough for float64 and for looking at every pair of slots, and the leak measurement.

The captions' tokens are all distinct, so that the gradient of the token table tells them apart.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import DecoderRecipe, EncoderRecipe, Recipe

ModuleT = TypeVar("ModuleT", bound=nn.Module)
PATCHES, PATCH_VALUES, TOKENS, VOCABULARY = 9, 12, 5, 13

RECIPE = Recipe(
    name="test",
    encoder=EncoderRecipe(image_size=6, patch_size=2, width=16, depth=2, heads=2, hidden=24),
    decoder=DecoderRecipe(width=24, depth=2, heads=2, hidden=32, vocabulary=VOCABULARY, text_tokens=7),
)

CAPTIONS = torch.tensor([[3, 1, 4, 12, 5], [9, 2, 6, 0, 8]])


def generator(seed: int = 0) -> torch.Generator:
    """Randomness that is the same in every run."""
    return torch.Generator().manual_seed(seed)


def wide(module: ModuleT, seed: int = 0) -> ModuleT:
    """The module with wide weights, in float64 and evaluation mode."""
    draw_wide_weights(module, generator(seed))
    return module.double().eval()


def wide_model(seed: int = 0) -> AIMv2:
    """Encoder and decoder of the tiny recipe."""
    return wide(AIMv2(RECIPE), seed)


def wide_encoder(seed: int = 0) -> VisionEncoder:
    """The encoder of the tiny recipe."""
    return wide(VisionEncoder(RECIPE), seed)


def images(batch: int = 2, seed: int = 1, size: int = 6) -> Tensor:
    """Pictures (B, 3, size, size) of float64 noise."""
    return torch.randn(batch, 3, size, size, generator=generator(seed), dtype=torch.float64)


def every_prefix_length() -> Tensor:
    """1 … I-1, one image each."""
    return torch.arange(1, PATCHES)


def dependence(outputs: Tensor, leaf: Tensor) -> Tensor:
    """How strongly each output slot (B, S, D) depends on the leaf: (S, *leaf), zero exactly where no path leads.

    Every slot is weighted at random over D, so that no dependence can cancel.
    """
    weights = torch.randn(outputs.shape[-1], generator=generator(99), dtype=outputs.dtype)
    by_slot = (outputs @ weights).sum(dim=0)
    gradients = [torch.autograd.grad(slot, leaf, retain_graph=True, allow_unused=True)[0] for slot in by_slot]
    return torch.stack([torch.zeros_like(leaf) if gradient is None else gradient.abs() for gradient in gradients])
