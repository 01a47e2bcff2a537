"""How far next-patch predictions are off: output by output, and under causal or open attention to the same patches."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.model.models import AnyModel
from aimv2_lab.model.objective import pixel_errors
from aimv2_lab.model.orders import in_order


@torch.no_grad()
def next_patch_errors(model: AnyModel, images: Tensor, prefix_length: int) -> Tensor:
    """Squared error (B, I-1) of outputs 0 … I-2, all images (B, 3, height, width) with the same prefix.

    Outputs are in the recipe's patch order, errors in the units of its pixel loss. Errors of outputs that do not count
    are there as well.
    """
    recipe = model.recipe
    lengths = torch.full((len(images),), prefix_length, device=images.device)
    no_text = torch.empty(len(images), 0, dtype=torch.long, device=images.device)
    pixels = model(images, no_text, lengths).pixels
    wanted = in_order(images, recipe.encoder.patch_size, recipe.objective.patch_order)
    return pixel_errors(pixels, wanted, recipe.encoder.patch_size, recipe.objective.target)


def errors_by_position(model: AnyModel, images: Tensor, prefix_length: int = 1) -> Tensor:
    """Mean squared error (I-1,) of outputs 0 … I-2 over pictures (N, 3, height, width), all with the same prefix.

    With M = 1, plain causal attention, every output counts; with a longer one, those from M - 1 on.
    """
    return next_patch_errors(model, images, prefix_length).mean(dim=0)


def error_by_attention(model: AnyModel, images: Tensor) -> tuple[Tensor, Tensor]:
    """Next-patch error (I-1,) of every output under causal and under bidirectional attention to the same patches.

    Output i may look at patches 0 … i both times. Causally each of them sees the earlier ones; with a prefix of i+1
    they all see each other, as at inference.
    """
    outputs = range(model.recipe.encoder.patches - 1)
    opened = torch.stack([errors_by_position(model, images, output + 1)[output] for output in outputs])
    return errors_by_position(model, images), opened
