"""In which order the patches of a picture are predicted: raster, and what AIM v1 compares it with.

Source: AIM v1, its ablation of orders (Table 3), which names them; how they run here is our choice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.model.patches import patchify, unpatchify
from aimv2_lab.recipes import PatchOrder, PretrainingRecipe

RANDOM_SEED = 0  # one order for all pictures and all runs


def patch_order(name: PatchOrder, rows: int, columns: int) -> Tensor:
    """Which patch (I,), counted in raster order, comes at each place of the sequence.

    "spiral" runs clockwise from the top left corner inwards, "checkerboard" has the patches of one colour in raster
    order, then those of the other, and "random" is one fixed shuffle.
    """
    grid = torch.arange(rows * columns).view(rows, columns)
    if name == "spiral":
        return _spiral(grid)
    if name == "checkerboard":
        dark = (torch.arange(rows)[:, None] + torch.arange(columns)) % 2 == 1
        return torch.cat([grid[~dark], grid[dark]])
    if name == "random":
        return torch.randperm(rows * columns, generator=torch.Generator().manual_seed(RANDOM_SEED))
    return grid.flatten()


def _spiral(grid: Tensor) -> Tensor:
    """The first row, then what is left of the grid, turned so that its last column is the first row."""
    parts = []
    while grid.numel():
        parts.append(grid[0])
        grid = grid[1:].T.flip(0)
    return torch.cat(parts)


def batch_order(images: Tensor, recipe: PretrainingRecipe) -> Tensor | None:
    """The recipe's order for every one of some pictures (B, 3, height, width), as (B, I); None where it is raster."""
    name, size = recipe.objective.patch_order, recipe.encoder.patch_size
    if name == "raster":
        return None
    order = patch_order(name, images.shape[-2] // size, images.shape[-1] // size)
    return order.to(images.device).expand(len(images), -1)


def in_order(images: Tensor, patch_size: int, name: PatchOrder) -> Tensor:
    """Pictures (B, 3, height, width) whose patches in raster order are those of `images` in the named order: what
    predictions in that order are compared with."""
    if name == "raster":
        return images
    grid = (images.shape[-2] // patch_size, images.shape[-1] // patch_size)
    order = patch_order(name, *grid).to(images.device)
    return unpatchify(patchify(images, patch_size)[:, order], grid, patch_size)
