"""The block that every transformer here is made of: pre-norm attention and a feed-forward layer, without biases.

Shapes: B batch, T tokens (patches or text), D width, H heads, F the feed-forward layer's hidden width.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


class KeyValueCache:
    """The keys and values (B, H, T, D/H) that one attention layer has seen so far, for generation."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the new tokens' keys and values and return those of all tokens."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)
        self.keys, self.values = keys, values
        return keys, values


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """Scaled dot-product attention (B, H, T, D/H) by the path that torch finds fastest for the device.

    `mask` is boolean, True = may attend; `causal` needs no mask, which leaves torch its faster kernels.
    """
    return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)


class Attention(nn.Module):
    """Multi-head self-attention without biases. Source: released code."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)  # rows: all of q, then k, then v
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, causal: bool = False, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Mix the tokens of x (B, T, D); with a cache, x holds only the new ones and attends to all before them."""
        queries, keys, values = rearrange(self.qkv(x), "b t (three h d) -> three b h t d", three=3, h=self.heads)
        if cache is not None:
            keys, values = cache.extend(keys, values)
        mixed = attend(queries, keys, values, mask, causal)
        return self.out(rearrange(mixed, "b h t d -> b t (h d)"))


class SwiGLU(nn.Module):
    """The gated feed-forward layer, no biases: down(silu(gate(x)) * up(x)). Source: paper, section 2.2."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform every token of x (B, T, D) on its own."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class MLP(nn.Module):
    """The plain feed-forward layer, no biases: down(gelu(up(x))), the exact GELU. Source: AIM v1's released code."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform every token of x (B, T, D) on its own."""
        return self.down(functional.gelu(self.up(x)))


Norm = type[nn.RMSNorm] | type[nn.LayerNorm]
FeedForward = type[SwiGLU] | type[MLP]


class Block(nn.Module):
    """One pre-norm transformer block: attention, then a feed-forward layer, each added to the residual stream.

    RMSNorm and SwiGLU are AIMv2's, LayerNorm and MLP are AIM v1's.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, norm_eps: float, norm: Norm = nn.RMSNorm, layer: FeedForward = SwiGLU
    ) -> None:
        super().__init__()
        self.attention_norm = norm(width, eps=norm_eps)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = norm(width, eps=norm_eps)
        self.feed_forward = layer(width, hidden)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, causal: bool = False, cache: KeyValueCache | None = None
    ) -> Tensor:
        """Update the residual stream x (B, T, D)."""
        x = x + self.attention(self.attention_norm(x), mask, causal, cache)
        return x + self.feed_forward(self.feed_forward_norm(x))


def initialise_block(block: Block) -> None:
    """Xavier uniform for every linear of a block, q, k and v as three matrices (released training code)."""
    for weight in (*block.attention.qkv.weight.chunk(3), block.attention.out.weight):
        nn.init.xavier_uniform_(weight)
    for weight in block.feed_forward.parameters():
        nn.init.xavier_uniform_(weight)
