"""Next-patch predictions as pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.model.models import AnyModel
from aimv2_lab.model.patches import patchify, standardise, unpatchify, unstandardise


@torch.no_grad()
def reconstruct(model: AnyModel, images: Tensor, prefix_length: int) -> Tensor:
    """Pictures (B, 3, height, width) whose first `prefix_length` patches are true and the others predicted.

    Every patch is predicted from all true patches before it (teacher forcing), and takes the true patch's mean and
    deviation, which the model never predicts: a figure of this must say so. A model of raw pixels is given neither.
    Raises ValueError for a model that predicts in another order than raster.
    """
    if model.recipe.objective.patch_order != "raster":
        raise ValueError(f"this model predicts patches in {model.recipe.objective.patch_order} order, not in raster")
    size = model.recipe.encoder.patch_size
    patches = patchify(images, size)
    lengths = torch.full((len(images),), prefix_length, device=images.device)
    no_text = torch.empty(len(images), 0, dtype=torch.long, device=images.device)
    drawn = model(images, no_text, lengths).pixels[:, prefix_length - 1 : -1].float()
    if model.recipe.objective.target == "standardised":
        true = standardise(patches[:, prefix_length:])
        drawn = unstandardise(drawn, true.mean, true.deviation)
    grid = (images.shape[-2] // size, images.shape[-1] // size)
    return unpatchify(torch.cat([patches[:, :prefix_length], drawn], dim=1), grid, size)
