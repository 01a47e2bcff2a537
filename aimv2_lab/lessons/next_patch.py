"""Next-patch prediction in seconds: short runs of AIM v1, and guesses that need no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from aimv2_lab.data.batches import Batch, batches
from aimv2_lab.evaluation.world import world_pictures, world_source
from aimv2_lab.lessons.patch_toys import noise
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.objective import pixel_targets
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.recipes import AIMv1Recipe, AnyRecipe, PixelTarget, recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model, open_data
from aimv2_lab.training.step import loss_counts, train_step

# aim-tiny at half the width, on a thousand scenes, so that few have to be rendered. All sizes and rates are our choice.
SHORT: AIMv1Recipe = recipe(
    "aim-tiny",
    {
        "name": "aim-short",
        "encoder.width": 64,
        "head.width": 64,
        "data.source": "world:easy:1000",
        "training.warmup_steps": 10,
        "training.peak_lr": 4e-3,
    },
)


# The same model for the noise of notebook 03: 8 x 8 pixels in 16 patches of 12 values.
NOISY: AIMv1Recipe = SHORT.change(
    {"name": "aim-noise", "encoder.image_size": 8, "encoder.patch_size": 2, "encoder.depth": 2, "head.depth": 2}
)


class ShortRun(NamedTuple):
    """A trained model, in evaluation mode, and the pixel loss of every step."""

    model: AIMv1
    losses: list[float]


def train_short(steps: int, plan: AIMv1Recipe = SHORT) -> ShortRun:
    """Train on the plan's pictures for a few steps."""
    plan = plan.change({"training.steps": steps})
    pictures = batches(open_data(plan).training, plan.training.batch_size, 0, steps, workers=0)
    return _train(plan, pictures, lambda engine, batch: _step(engine, batch, plan))


def train_on_noise(steps: int, shifted: bool = True) -> ShortRun:
    """Train on white noise; with `shifted` off, outputs are held against their own patches, the slip of notebook 05."""
    plan, draws = NOISY.change({"training.steps": steps}), torch.Generator().manual_seed(0)
    step = _step if shifted else _unshifted_step
    return _train(plan, (_noise_batch(plan, draws) for _ in range(steps)), lambda e, batch: step(e, batch, plan))


def _train(plan: AIMv1Recipe, data: Iterable[Batch], step: Callable[[LocalEngine, Batch], float]) -> ShortRun:
    model = build_model(plan)
    engine = LocalEngine(model, plan.training, torch.device("cpu"))
    losses = [step(engine, batch) for batch in data]
    return ShortRun(model.eval(), losses)


def _step(engine: LocalEngine, batch: Batch, plan: AIMv1Recipe) -> float:
    """The package's own step."""
    return train_step(engine, batch, loss_counts(batch, plan), plan).pixel.item()


def _unshifted_step(engine: LocalEngine, batch: Batch, plan: AIMv1Recipe) -> float:
    """One update on outputs compared with the patches they stand on, all of them."""
    own = standardise(patchify(batch.images, plan.encoder.patch_size)).values
    loss = (engine.forward(batch.images, batch.tokens, batch.prefix_lengths).pixels - own).square().mean()
    engine.backward(loss)
    engine.step()
    return loss.item()


def _noise_batch(plan: AIMv1Recipe, draws: torch.Generator) -> Batch:
    """Pictures of noise without captions, each with its prefix length."""
    size, patches = plan.training.batch_size, plan.encoder.patches
    lengths = torch.randint(1, patches, (size,), generator=draws)  # the upper bound is exclusive
    no_text = torch.empty(size, 0, dtype=torch.long)
    return Batch(noise(size, draws), no_text, no_text.bool(), lengths, tuple(map(str, range(size))))


def held_out_pictures(plan: AnyRecipe = SHORT, count: int = 256) -> Tensor:
    """The first pictures (N, 3, height, width) of the world's validation scenes, normalised."""
    return world_pictures(world_source(plan), range(count), plan.data, plan.encoder.image_size)


def guess_errors(images: Tensor, patch_size: int, target: PixelTarget = "standardised") -> dict[str, Tensor]:
    """Errors by position (I-1,) of two guesses that need no model: the patch before, and a grey nothing (zero)."""
    patches = patchify(images, patch_size)
    before = patches[:, :-1] if target == "raw" else standardise(patches).values[:, :-1]
    wanted = pixel_targets(images, patch_size, target)
    return {
        "copy the patch before": (before - wanted).square().mean(dim=(0, 2)),
        "say zero": wanted.square().mean(dim=(0, 2)),
    }
