"""Plausible wrong answers to the exercises of notebook 10."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def _pooled(
    features: Tensor,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    heads: int,
    scale: float,
    axis: int = -1,
    interleaved: bool = False,
) -> Tensor:
    batch, patches, width = features.shape
    inner = width // heads

    def split(rows: Tensor) -> Tensor:
        if interleaved:
            return rows.view(batch, patches, inner, heads).permute(0, 3, 1, 2)
        return rows.view(batch, patches, heads, inner).transpose(1, 2)

    asked = query.view(inner, heads).T if interleaved else query.view(heads, inner)
    weights = ((split(features @ keys.T) @ asked[..., None])[..., 0] * scale).softmax(dim=axis)  # (B, H, I)
    return (weights[:, :, None] @ split(features @ values.T))[:, :, 0].flatten(1)


def no_root(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    return _pooled(features, query, keys, values, heads, 1.0)


def root_of_the_whole_width(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    return _pooled(features, query, keys, values, heads, features.shape[-1] ** -0.5)


def softmax_over_heads(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    return _pooled(features, query, keys, values, heads, (features.shape[-1] // heads) ** -0.5, axis=1)


def heads_interleaved(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    return _pooled(
        features, query, keys, values, heads, (features.shape[-1] // heads) ** -0.5, interleaved=True
    )  # fmt: skip


def one_head_always(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    return _pooled(features, query, keys, values, 1, features.shape[-1] ** -0.5)


def weights_not_transposed(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    return _pooled(features, query, keys.T, values.T, heads, (features.shape[-1] // heads) ** -0.5)


def mean_of_values(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    return (features @ values.T).mean(dim=1)


def features_for_values(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    same = torch.eye(features.shape[-1])
    return _pooled(features, query, keys, same, heads, (features.shape[-1] // heads) ** -0.5)


WRONG: dict[str, dict[str, Any]] = {
    "10a": {
        "no root": no_root,
        "root of the whole width": root_of_the_whole_width,
        "softmax over heads": softmax_over_heads,
        "heads interleaved": heads_interleaved,
        "one head always": one_head_always,
        "weights not transposed": weights_not_transposed,
        "mean of values": mean_of_values,
        "features for values": features_for_values,
    },
    "10b": {"chance": 0.2, "the small one's shape known": 0.25, "two of five": 0.4, "all": 1.0},
    "10c": {"the encoder": "A", "few pictures": "C", "batch norm": "D"},
    "10d": {"the mean": 0.631, "attentive": 0.931, "untrained": 0.543, "chance": 0.2, "another factor": 1.0},
}
