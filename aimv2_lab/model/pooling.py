"""Attentive pooling: one learned query reads what it needs off all patches."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from aimv2_lab.model.layers import attend


class AttentivePooling(nn.Module):
    """One learned query attends to the patches; keys and values without biases, no query or output projection.

    Source: AIM v1's released probe.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)
        self.keys_values = nn.Linear(width, 2 * width, bias=False)

    def forward(self, features: Tensor, seen: Tensor | None = None) -> Tensor:
        """One vector (B, D) of features (B, I, D), or of those alone that `seen` (B, I) is true for."""
        keys, values = rearrange(self.keys_values(features), "b i (two h d) -> two b h i d", two=2, h=self.heads)
        query = rearrange(self.query, "(h d) -> h 1 d", h=self.heads).expand(len(features), -1, -1, -1)
        mask = None if seen is None else seen[:, None, None]
        return rearrange(attend(query, keys, values, mask), "b h 1 d -> b (h d)")


class PoolingHead(nn.Module):
    """Attentive pooling and a linear layer with bias, over the normed features.

    Source: released code; of the released checkpoints only the one tuned with a text tower has it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.pooling = AttentivePooling(width, heads)
        self.output = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """One vector (B, D) of features (B, I, D)."""
        return self.output(self.pooling(features))
