"""The objective: which predictions count, how far they are off, and how the two losses add up.

Counting from 0, output i predicts patch i+1. With prefix length M the encoder has shown patches 0 … M-1 to each other,
so outputs 0 … M-2 have seen their own target: outputs M-1 … I-2 count, and predict patches M … I-1. Losses are sums
divided by counts of the *global* batch, so that cutting it into ranks and micro-batches changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.recipes import PixelTarget


class LossCounts(NamedTuple):
    """How many predictions of the global batch count: the two normalisers, and how many images it has."""

    patches: int
    tokens: int
    images: int = 1


class Losses(NamedTuple):
    """Scalars: `total` = text + pixel_weight * pixel."""

    total: Tensor
    pixel: Tensor
    text: Tensor


def pixel_targets(images: Tensor, patch_size: int, target: PixelTarget = "standardised") -> Tensor:
    """The targets (B, I-1, K) of outputs 0 … I-2: the standardised patches 1 … I-1 (paper, section 2.1).

    "raw" leaves them as the images have them, for AIM v1's ablation of targets.
    """
    patches = patchify(images, patch_size)[:, 1:]
    return patches if target == "raw" else standardise(patches).values


def counted_outputs(prefix_lengths: Tensor, patches: int) -> Tensor:
    """Which of the outputs 0 … I-2 count (B, I-1): those at M-1 and after (paper, section 2.2)."""
    return torch.arange(patches - 1, device=prefix_lengths.device) >= prefix_lengths[:, None] - 1


def pixel_errors(pixels: Tensor, images: Tensor, patch_size: int, target: PixelTarget = "standardised") -> Tensor:
    """Squared error (B, I-1) of outputs 0 … I-2, averaged over the K values of a patch, in float32.

    The mean over K, not the sum, is what pixel_weight = 0.4 refers to (released training code).
    """
    return (pixels[:, :-1].float() - pixel_targets(images.float(), patch_size, target)).square().mean(dim=-1)


def text_errors(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy in nats and float32, in the shape of `tokens`, of every text output (..., V) with its token."""
    nats = functional.cross_entropy(logits.float().flatten(0, -2), tokens.flatten(), reduction="none")
    return nats.view(tokens.shape)


def losses(
    predictions: Predictions,
    images: Tensor,
    tokens: Tensor,
    counted_tokens: Tensor,
    prefix_lengths: Tensor,
    counts: LossCounts,
    pixel_weight: float,
    patch_size: int,
    target: PixelTarget = "standardised",
) -> Losses:
    """This batch's share of the global batch's losses; shares of all ranks and micro-batches add up to them.

    Images (B, 3, height, width); tokens and counted_tokens (B, T), or (N,) for logits of N text slots; prefix lengths
    (B,), where I counts no patch.
    Predictions that do not count get a gradient of exactly zero. Source: paper, section 2.1; normalisers are counts
    of the batch as in the released training code, there of the local one.
    """
    errors = pixel_errors(predictions.pixels, images, patch_size, target)
    counted_pixels = counted_outputs(prefix_lengths, predictions.pixels.shape[1])
    pixel = errors.masked_fill(~counted_pixels, 0.0).sum() / max(counts.patches, 1)
    nats = text_errors(predictions.logits, tokens)
    text = nats.masked_fill(~counted_tokens, 0.0).sum() / max(counts.tokens, 1)
    return Losses(text + pixel_weight * pixel, pixel, text)


def caption_losses(logits: Tensor, tokens: Tensor, counted_tokens: Tensor, counts: LossCounts) -> Losses:
    """The same of captions alone: no pixel is predicted, and the pixel loss is 0."""
    text = text_errors(logits, tokens).masked_fill(~counted_tokens, 0.0).sum() / max(counts.tokens, 1)
    return Losses(text, torch.zeros_like(text), text)
