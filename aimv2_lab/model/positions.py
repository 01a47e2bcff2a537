"""Where a patch is: the fixed 2-D sine-cosine code of the native-resolution encoder and of AIM v1.

The other encoders learn a table of one vector per patch, a parameter that needs code only for another resolution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 10_000.0


def sincos_positions(rows: int, columns: int, width: int, device: torch.device | None = None) -> Tensor:
    """The 2-D position code (rows * columns, width), float32, patches in raster order.

    The vector of the patch in column x and row y is [sin(x w), cos(x w), sin(y w), cos(y w)], a quarter of the width
    each, with w_j = 10000 ** (-j / (width / 4)): x comes first, and indices are not scaled by the grid. Computed in
    float64, because in bfloat16 the angles of large grids are wrong. Raises ValueError unless 4 divides the width.
    Source: released code.
    """
    if width % 4:
        raise ValueError(f"sine-cosine positions need a width divisible by 4, not {width}")
    quarter = width // 4
    frequency = TEMPERATURE ** (-torch.arange(quarter, dtype=torch.float64, device=device) / quarter)
    y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    angles = [coordinate.flatten().to(torch.float64)[:, None] * frequency for coordinate in (x, y)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1).to(torch.float32)


def sincos_at(x: Tensor, y: Tensor, width: int) -> Tensor:
    """The same code (..., width), float32, of patches in columns x and rows y, both (...) int64: bit by bit what
    `sincos_positions` has there. Raises ValueError as it does."""
    table = sincos_positions(1, x.shape[-1], width, x.device)[:, : width // 2]  # no coordinate exceeds the patches
    return torch.cat([table[x], table[y]], dim=-1)


def resized_positions(table: Tensor, grid_size: int) -> Tensor:
    """A learned table (I, D) of a square grid for a square grid of another size: (grid_size ** 2, D), float32.

    Bicubic, antialiased, in float32, as timm resizes it; the released code has no such thing. Raises ValueError where
    I is no square.
    """
    old = math.isqrt(len(table))
    if old**2 != len(table):
        raise ValueError(f"a position table of {len(table)} patches has no square grid, and cannot be resized")
    if old == grid_size:
        return table.float()
    grid = table.float().T.reshape(1, -1, old, old)
    resized = functional.interpolate(grid, (grid_size, grid_size), mode="bicubic", antialias=True)
    return resized[0].flatten(1).T.contiguous()
