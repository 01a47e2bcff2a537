"""Reference answers to the exercises: `solution_02a` answers exercise a of notebook 02.

Try first: a check tells what differs, and every exercise has two folded hints. The tests run each check on these.
"""

from __future__ import annotations

import torch
from torch import Tensor

# --- Notebook 00: start here ---

# --- Notebook 01: a world small enough to understand ---

# --- Notebook 02: patches and the pixel target ---

# --- Notebook 03: prefix attention ---


def solution_03a(prefix_lengths: Tensor, patches: int) -> Tensor:
    """Key j is open to query i when it is not later, or when it lies in the image's prefix."""
    query, key = torch.arange(patches)[:, None], torch.arange(patches)
    return (key <= query) | (key < prefix_lengths[:, None, None, None])


# One prediction of each picture leaks: output M-1 sees patch M. On average I / 2 = 128 predictions count.
solution_03b = 1 / 128

solution_03c = "B"

solution_03d = 0.22  # mean of the last 50 of 300 steps, seed 0

# --- Notebook 04: the encoder, block by block ---


def solution_04a(norm_weight: Tensor, linear_weight: Tensor) -> Tensor:
    """Input d of the linear arrives multiplied by norm_weight[d], so column d of the weight can do it."""
    return linear_weight * norm_weight


solution_04b = 4 * 1024**2 + 3 * 1024 * 2816 + 2 * 1024  # attention, SwiGLU, two norms

solution_04c = "B"

solution_04d = 1.96  # four times the blocks, twice the root mean square
