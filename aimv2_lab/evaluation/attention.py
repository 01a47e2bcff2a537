"""The attention weights of any layer and head, recomputed from what enters the layer; the model stays as it is.

The model mixes with a fused kernel, which never shows its weights. They follow from the layer's input and mask alone.
Shapes: B batch, H heads, T tokens, I patches.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.layers import Attention
from aimv2_lab.model.masks import causal_mask

SIGNATURE = inspect.signature(Attention.forward)


@torch.no_grad()
def attention_weights(layer: Attention, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """How much every query takes from every key (B, H, T, T) when `layer` is given x (B, T, D); rows sum to 1.

    `mask` and `causal` as in the layer's forward. What a query may not see has weight exactly 0.
    """
    queries, keys, _ = rearrange(layer.qkv(x), "b t (three h d) -> three b h t d", three=3, h=layer.heads)
    scores = queries.float() @ keys.float().transpose(-1, -2) / queries.shape[-1] ** 0.5
    if causal:
        mask = causal_mask(x.shape[1], x.device)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1)


@contextmanager
def recorded_weights(blocks: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """Inside `with`, every attention layer of the blocks adds its weights (B, H, T, T) to the list as it runs.

    Raises ValueError for a layer that runs on a key-value cache, whose input is not the whole sequence.
    """
    found: list[Tensor] = []

    def record(layer: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        given = SIGNATURE.bind(layer, *arguments, **options).arguments
        if given.get("cache") is not None:
            raise ValueError("attention is recorded for whole sequences; run the model without a key-value cache")
        assert isinstance(layer, Attention)
        found.append(attention_weights(layer, given["x"], given.get("mask"), given.get("causal", False)))

    layers = [layer for block in blocks for layer in block.modules() if isinstance(layer, Attention)]
    hooks = [layer.register_forward_pre_hook(record, with_kwargs=True) for layer in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def encoder_attention(encoder: VisionEncoder, images: Tensor, prefix_lengths: Tensor | None = None) -> Tensor:
    """Weights (layers, B, H, I, I) of every encoder layer for images (B, 3, height, width)."""
    with recorded_weights(encoder.blocks) as weights:
        encoder(images, prefix_lengths)
    return torch.stack(weights)


@torch.no_grad()
def decoder_attention(model: AIMv2, images: Tensor, tokens: Tensor) -> Tensor:
    """Weights (layers, B, H, I + T, I + T) of every decoder layer for images seen whole and captions (B, T).

    Row I + t is the slot that predicts token t; columns 0 … I-1 are the image slots.
    """
    with recorded_weights(model.decoder.blocks) as weights:
        model(images, tokens)
    return torch.stack(weights)


def read_from_picture(weights: Tensor, places: Tensor, patches: int) -> Tensor:
    """Weights (layers, B, I) on the image slots when token number `places` (B,) is predicted, averaged over heads.

    `weights` (layers, B, H, I + T, I + T) as `decoder_attention` gives them.
    """
    rows = weights[:, torch.arange(len(places)), :, patches + places, :patches]  # the indexed axis comes first
    return rearrange(rows.mean(dim=2), "b layers patches -> layers b patches")
