"""Features of pictures of many sizes in one tensor."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Padded(NamedTuple):
    """Features (B, N, D) of B pictures, of which picture b has the first `patch_counts[b]` (B,); behind them is
    padding, which means nothing."""

    features: Tensor
    patch_counts: Tensor

    @classmethod
    def of(cls, patches: Tensor, patch_counts: Tensor) -> Padded:
        """All pictures' patches (sum of the counts, D), one picture after the other, padded with zeros to the most."""
        empty = patches.new_zeros(len(patch_counts), int(patch_counts.max()), patches.shape[-1])
        padded = cls(empty, patch_counts)
        padded.features[padded.real] = patches
        return padded

    @property
    def real(self) -> Tensor:
        """Which places (B, N) are a picture's, and no padding."""
        places = torch.arange(self.features.shape[1], device=self.features.device)
        return places < self.patch_counts[:, None]

    @property
    def patches(self) -> Tensor:
        """What `of` takes: all pictures' patches (sum of the counts, D), without the padding."""
        return self.features[self.real]


def end_to_end(features: Tensor | Padded) -> tuple[Tensor, Tensor]:
    """All pictures' patches (sum of the counts, D), one picture after the other, and how many each has (B,), on the
    CPU."""
    if isinstance(features, Padded):
        return features.patches, features.patch_counts.cpu()
    return features.flatten(0, 1), torch.full((len(features),), features.shape[1])
