"""What the picture contributed to every word of a caption, in nats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from aimv2_lab.data.captions.lexicon import COLOUR_WORDS, GENERIC_NOUNS, SHAPE_WORDS, SIZE_WORDS
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import text_errors

# "to" opens "to the left of" and nothing else, so it already says that the objects lie side by side.
DIRECTION_WORDS = ("left", "right", "above", "over", "below", "under", "to")
WORD_KINDS: Mapping[str, frozenset[str]] = {
    "colour": frozenset(COLOUR_WORDS),
    "shape": frozenset(SHAPE_WORDS),
    "size": frozenset(word for words in SIZE_WORDS.values() for word in words),
    "direction": frozenset(DIRECTION_WORDS),
    "object, thing": frozenset(GENERIC_NOUNS),
}
OTHER_WORDS = "function word"


def word_kind(word: str) -> str:
    """Which kind of word of the generated captions this is; everything that names nothing is a function word."""
    return next((kind for kind, words in WORD_KINDS.items() if word in words), OTHER_WORDS)


@torch.no_grad()
def log_probabilities(model: AIMv2, features: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability (B, T), in nats, of every token of the captions (B, T) given encoder features (B, I, D)."""
    return -text_errors(model.decoder(features, tokens).logits, tokens)


def contribution(own: Tensor, others: Tensor) -> Tensor:
    """Nats (…,) by which the right picture makes a token likelier than a picture drawn at random does.

    `own` (…,) holds log-probabilities with the right picture, `others` (N, …) with N other ones. The other pictures'
    *probabilities* are averaged, not their logarithms: log p(token | picture) - log mean p(token | other pictures).
    """
    return own - (others.logsumexp(dim=0) - math.log(len(others)))


@torch.no_grad()
def own_and_others(model: AIMv2, images: Tensor, tokens: Tensor, others: int = 16) -> tuple[Tensor, Tensor]:
    """Log-probabilities (B, T) of every caption given its image, and (others, B, T) given the images that follow it.

    Raises ValueError unless 1 <= others < B: an image must never stand among its own others.
    """
    if not 1 <= others < len(images):
        raise ValueError(f"others = {others} for {len(images)} images; it must lie in 1 … {len(images) - 1}")
    features = model.encoder(images)
    turned = (features.roll(-shift, dims=0) for shift in range(1, others + 1))
    wrong = torch.stack([log_probabilities(model, other, tokens) for other in turned])
    return log_probabilities(model, features, tokens), wrong


def first_of_kind(words: Sequence[Sequence[str]], kind: str) -> tuple[Tensor, Tensor]:
    """Row and place, two tensors (N,), of the first word of a kind in every caption that holds one."""
    found = {row: [word_kind(word) for word in caption] for row, caption in enumerate(words)}
    rows = [row for row, kinds in found.items() if kind in kinds]
    return torch.tensor(rows), torch.tensor([found[row].index(kind) for row in rows])


def by_word_kind(words: Sequence[Sequence[str]], nats: Tensor) -> dict[str, Tensor]:
    """The contributions (B, T) sorted by kind of word; `words` are the captions' words, row by row."""
    kinds = [word_kind(word) for row in words for word in row]
    flat = torch.cat([nats[place, : len(row)] for place, row in enumerate(words)])
    named = [*WORD_KINDS, OTHER_WORDS]
    return {kind: flat[torch.tensor([found == kind for found in kinds])] for kind in named if kind in kinds}
