"""Plausible wrong answers to the exercises of notebook 03."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aimv2_lab.lessons.mask_mistakes import causal, from_the_end, off_by_one, transposed
from aimv2_lab.model.masks import prefix_mask


def without_heads(prefix_lengths: Tensor, patches: int) -> Tensor:
    return prefix_mask(prefix_lengths, patches)[:, 0]


def first_length_for_all(prefix_lengths: Tensor, patches: int) -> Tensor:
    return prefix_mask(prefix_lengths[:1].expand(len(prefix_lengths)), patches)


def queries_in_the_prefix(prefix_lengths: Tensor, patches: int) -> Tensor:
    """Queries of the prefix see everything, in place of keys of the prefix being seen by everything."""
    in_prefix = torch.arange(patches) < prefix_lengths[:, None]
    return (torch.ones(patches, patches, dtype=torch.bool).tril() | in_prefix[:, :, None])[:, None]


def hidden_is_true(prefix_lengths: Tensor, patches: int) -> Tensor:
    return ~prefix_mask(prefix_lengths, patches)


WRONG: dict[str, dict[str, Any]] = {
    "03a": {
        "transposed": transposed,
        "off by one": off_by_one,
        "no prefix": causal,
        "the end for the start": from_the_end,
        "no axis for the heads": without_heads,
        "one length for all images": first_length_for_all,
        "queries for keys": queries_in_the_prefix,
        "True for hidden": hidden_is_true,
        "additive": lambda lengths, patches: prefix_mask(lengths, patches).float().log(),
    },
    "03b": {
        "of 256 predictions": 1 / 256,
        "mean of each picture's share": sum(1 / counted for counted in range(1, 256)) / 255,
        "percent": 0.78125,
        "all": 1.0,
    },
    "03c": {"off by one": "A", "bidirectional": "C", "causal": "D"},
    "03d": {"the floor": 11 / 12, "the floor, measured": 0.918, "below what was measured": 0.0},
}
