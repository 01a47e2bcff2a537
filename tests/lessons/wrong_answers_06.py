"""Plausible wrong answers to the exercises of notebook 06."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from aimv2_lab.model.masks import causal_mask


def parts(text_text: Tensor, text_image: Tensor, image_text: Tensor, image_image: Tensor) -> Tensor:
    return torch.cat([torch.cat([text_text, text_image], dim=1), torch.cat([image_text, image_image], dim=1)])


def built(rule: Callable[[int, int], tuple[Tensor, Tensor, Tensor, Tensor]]) -> Callable[[int, int], Tensor]:
    return lambda patches, tokens: parts(*rule(patches, tokens))


def ones(rows: int, columns: int) -> Tensor:
    return torch.ones(rows, columns, dtype=torch.bool)


WRONG: dict[str, dict[str, Any]] = {
    "06a": {
        "causal in memory order: caption first": lambda patches, tokens: causal_mask(patches + tokens),
        "everything sees everything": lambda patches, tokens: ones(patches + tokens, patches + tokens),
        "the picture sees the caption": built(
            lambda p, t: (causal_mask(t), ones(t, p), ones(p, t), causal_mask(p)),
        ),
        "the picture sees ahead": built(lambda p, t: (causal_mask(t), ones(t, p), ~ones(p, t), ones(p, p))),
        "the caption sees ahead": built(lambda p, t: (ones(t, t), ones(t, p), ~ones(p, t), causal_mask(p))),
        "the caption does not see the picture": built(
            lambda p, t: (causal_mask(t), ~ones(t, p), ~ones(p, t), causal_mask(p)),
        ),
        "a word sees only the words before it": built(
            lambda p, t: (causal_mask(t).tril(-1), ones(t, p), ~ones(p, t), causal_mask(p)),
        ),
        "picture first in memory": lambda patches, tokens: parts(
            causal_mask(patches), ~ones(patches, tokens), ones(tokens, patches), causal_mask(tokens)
        ),
        "patches and tokens exchanged": lambda patches, tokens: parts(
            causal_mask(patches), ones(patches, tokens), ~ones(tokens, patches), causal_mask(tokens)
        ),
    },
    "06b": {
        "work without a cache": 22715,
        "work with the cache": 333,
        "one for each token": 77,
        "a sequence that does not grow": 256 * 77 / 333,
        "the picture is free": 22715 / 77,
        "the final length at every step": 333 * 77 / 333,
    },
    "06c": {"smaller model": "A", "wrong words": "C", "other captions": "D"},
    "06d": {"all features": 0.82, "one row": 1.28, "no feature": 2.23, "another picture": 1.59, "language model": 1.15},
}
