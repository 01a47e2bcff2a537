"""Realistic mistakes in an encoder, each planted in a copy, to see which comparison notices them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import MethodType
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.layers import Block, SwiGLU

Mistake = Callable[[VisionEncoder], None]


def with_mistake(encoder: VisionEncoder, name: str) -> VisionEncoder:
    """A copy of `encoder` with the mistake of that name in `MISTAKES`; the encoder itself stays right."""
    wrong = copy.deepcopy(encoder)
    with torch.no_grad():
        MISTAKES[name](wrong)
    return wrong


def blocks_of(encoder: VisionEncoder) -> list[Block]:
    """The encoder's blocks, as what they are."""
    return [cast(Block, block) for block in encoder.blocks]


def swap_norms(encoder: VisionEncoder) -> None:
    """The norm before attention and the one before the feed-forward layer change places."""
    for block in blocks_of(encoder):
        block.attention_norm, block.feed_forward_norm = block.feed_forward_norm, block.attention_norm


def scale_by_width(encoder: VisionEncoder) -> None:
    """Scores are divided by the root of the whole width, not of one head's."""
    for block in blocks_of(encoder):
        queries, _, _ = block.attention.qkv.weight.chunk(3)
        queries /= block.attention.heads**0.5


def double_heads(encoder: VisionEncoder) -> None:
    """Twice as many heads, each half as wide."""
    for block in blocks_of(encoder):
        block.attention.heads *= 2


def swap_queries_and_keys(encoder: VisionEncoder) -> None:
    """The fused matrix is read as k, q, v."""
    for block in blocks_of(encoder):
        queries, keys, values = block.attention.qkv.weight.chunk(3)
        block.attention.qkv.weight.copy_(torch.cat([keys, queries, values]))


def interleave_heads(encoder: VisionEncoder) -> None:
    """The fused matrix is read as q, k, v of head 0, then of head 1, and so on."""
    for block in blocks_of(encoder):
        weight, heads = block.attention.qkv.weight, block.attention.heads
        weight.copy_(rearrange(weight.clone(), "(h three d) w -> (three h d) w", three=3, h=heads))


def swap_gate_and_up(encoder: VisionEncoder) -> None:
    """SiLU is applied to the other factor."""
    for block in blocks_of(encoder):
        feed_forward = block.feed_forward
        feed_forward.gate, feed_forward.up = feed_forward.up, feed_forward.gate


def use_gelu(encoder: VisionEncoder) -> None:
    """GELU in SiLU's place."""

    def forward(self: SwiGLU, x: Tensor) -> Tensor:
        return cast(Tensor, self.down(functional.gelu(self.gate(x)) * self.up(x)))

    for block in blocks_of(encoder):
        block.feed_forward.forward = MethodType(forward, block.feed_forward)  # type: ignore[method-assign]


def use_layer_norm(encoder: VisionEncoder) -> None:
    """LayerNorm, which also takes the mean out, in place of the blocks' RMSNorms."""
    for block in blocks_of(encoder):
        for name in ("attention_norm", "feed_forward_norm"):
            rms_norm = cast(nn.RMSNorm, getattr(block, name))
            layer_norm = nn.LayerNorm(rms_norm.normalized_shape, eps=encoder.recipe.norm_eps, bias=False)
            layer_norm.weight = rms_norm.weight
            setattr(block, name, layer_norm)


def norm_after_positions(encoder: VisionEncoder) -> None:
    """The patch norm also normalises the positions."""

    def embed(self: VisionEncoder, images: Tensor) -> Tensor:
        tokens = rearrange(self.patch_projection(images), "b d rows columns -> b (rows columns) d")
        return cast(Tensor, self.patch_norm(tokens + self.positions))

    encoder.embed = MethodType(embed, encoder)  # type: ignore[method-assign]


def read_down_the_columns(encoder: VisionEncoder) -> None:
    """Patches are numbered down the columns instead of along the rows."""

    def embed(self: VisionEncoder, images: Tensor) -> Tensor:
        tokens = rearrange(self.patch_projection(images), "b d rows columns -> b (columns rows) d")
        return cast(Tensor, self.patch_norm(tokens) + self.positions)

    encoder.embed = MethodType(embed, encoder)  # type: ignore[method-assign]


def use_small_eps(encoder: VisionEncoder) -> None:
    """1e-6 in place of 1e-5 in every norm."""
    for module in encoder.modules():
        if isinstance(module, nn.RMSNorm):
            module.eps = 1e-6


MISTAKES: dict[str, Mistake] = {
    "norms swapped": swap_norms,
    "scaled by the whole width": scale_by_width,
    "twice the heads": double_heads,
    "q and k swapped": swap_queries_and_keys,
    "GELU for SiLU": use_gelu,
    "gate and up swapped": swap_gate_and_up,
    "LayerNorm for RMSNorm": use_layer_norm,
    "q, k, v interleaved by head": interleave_heads,
    "norm after positions": norm_after_positions,
    "patches down the columns": read_down_the_columns,
    "eps 1e-6 for 1e-5": use_small_eps,
}
