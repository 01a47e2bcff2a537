"""Where in a picture the pixel loss sits: every patch's error, under every prefix length."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.evaluation.next_patch import next_patch_errors
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import counted_outputs


def errors_by_prefix(model: AIMv2, images: Tensor) -> Tensor:
    """Errors (B, I-1, I-1) of images (B, 3, height, width): picture, prefix length M = 1 … I-1, output 0 … I-2.

    The caption plays no part: image slots come first, and see no text. Errors of outputs that do not count are there
    as well; `counted` says which do.
    """
    lengths = range(1, model.recipe.encoder.patches)
    return torch.stack([next_patch_errors(model, images, length) for length in lengths], dim=1)


def counted(patches: int) -> Tensor:
    """Which outputs count (I-1, I-1) under each prefix length 1 … I-1."""
    return counted_outputs(torch.arange(1, patches), patches)


def counted_mean(errors: Tensor) -> Tensor:
    """Errors (B, I-1, I-1) averaged over the prefix lengths under which the output counts: (B, I-1)."""
    counts = counted(errors.shape[-1] + 1)
    return errors.masked_fill(~counts, 0.0).sum(dim=1) / counts.sum(dim=0)
