"""Pictures whose next-patch error is known beforehand, and training runs on them that take seconds.

Patches of noise cannot be predicted, so no honest run gets below the noise floor. Repeating pictures can be predicted
by looking back one row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from aimv2_lab.data.batches import Batch
from aimv2_lab.evaluation.next_patch import error_by_attention as error_by_attention
from aimv2_lab.lessons.mask_mistakes import MaskRule, with_mask
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.step import loss_counts, train_step

Pictures = Callable[[int, torch.Generator], Tensor]  # (batch size, generator) -> images (B, 3, height, width)

# 8 x 8 pixels in 16 patches of 12 values. All sizes and rates are our choice.
TOY: Recipe = recipe(
    "tiny",
    {
        "name": "toy",
        "encoder.image_size": 8,
        "encoder.patch_size": 2,
        "encoder.positions": "learned",
        "encoder.width": 48,
        "encoder.depth": 2,
        "encoder.heads": 2,
        "encoder.hidden": 96,
        "decoder.width": 48,
        "decoder.depth": 2,
        "decoder.heads": 2,
        "decoder.hidden": 96,
        "training.peak_lr": 4e-3,
        "training.warmup_steps": 10,
    },
)
# A standardised patch has unbiased variance 1, so its K values deviate from 0 by (K-1) / K in the mean square; and 0 is
# the best guess at noise.
NOISE_FLOOR = (TOY.encoder.patch_values - 1) / TOY.encoder.patch_values


class ToyRun(NamedTuple):
    """A trained model, in evaluation mode, and the pixel loss of every step."""

    model: AIMv2
    losses: list[float]


def noise(count: int, generator: torch.Generator) -> Tensor:
    """Pictures (B, 3, 8, 8) of white noise: no patch says anything about another."""
    size = TOY.encoder.image_size
    return torch.randn(count, 3, size, size, generator=generator)


def repeating(count: int, generator: torch.Generator) -> Tensor:
    """Pictures (B, 3, 8, 8) of noise whose rows of patches are all alike: patch i equals patch i - 4."""
    height, width = TOY.encoder.patch_size, TOY.encoder.image_size
    return torch.randn(count, 3, height, width, generator=generator).repeat(1, 1, TOY.encoder.grid_size, 1)


def train_toy(
    pictures: Pictures, steps: int, rule: MaskRule = prefix_mask, prefix_length: int | None = None, seed: int = 0
) -> ToyRun:
    """Train the toy on pixels alone, with fresh pictures in every step, through the same step as every other run.

    `rule` is the encoder's mask; `prefix_length` fixes M, which is else uniform on 1 … I-1.
    """
    plan = TOY.change({"training.steps": steps, "training.seed": seed})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = with_mask(AIMv2(plan), rule)
    engine, draws = LocalEngine(model, plan.training, torch.device("cpu")), torch.Generator().manual_seed(seed)
    pixel_losses = []
    for _ in range(steps):
        batch = _batch(pictures, plan.training.batch_size, prefix_length, draws)
        pixel_losses.append(train_step(engine, batch, loss_counts(batch, plan), plan).pixel.item())
    return ToyRun(model.eval(), pixel_losses)


def _batch(pictures: Pictures, size: int, prefix_length: int | None, draws: torch.Generator) -> Batch:
    """Pictures without captions, each with its prefix length."""
    images = pictures(size, draws)
    lengths = torch.randint(1, TOY.encoder.patches, (size,), generator=draws)  # the upper bound is exclusive
    if prefix_length is not None:
        lengths = torch.full_like(lengths, prefix_length)
    no_text = torch.empty(size, 0, dtype=torch.long)
    return Batch(images, no_text, no_text.bool(), lengths, tuple(map(str, range(size))))
