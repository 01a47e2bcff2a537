"""Which caption a model finds likeliest for a picture: one of two, or of all there are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.evaluation.contribution import log_probabilities
from aimv2_lab.model.aimv2 import AIMv2


@torch.no_grad()
def caption_likelihoods(model: AIMv2, features: Tensor, tokenizer: CaptionTokenizer, texts: Sequence[str]) -> Tensor:
    """log p(caption | picture) (B,), in nats, of one text for each of B pictures' features (B, I, D).

    Captions longer than the recipe's text tokens count as far as they are read. Raises ValueError unless there is one
    text a picture.
    """
    if len(texts) != len(features):
        raise ValueError(f"{len(texts)} texts for {len(features)} pictures; give one each")
    tokens, counted = tokenizer.encode(texts, model.recipe.text_tokens)
    nats = log_probabilities(model, features, tokens.to(features.device))
    return nats.masked_fill(~counted.to(features.device), 0.0).sum(dim=1)


def likelihood_table(
    model: AIMv2, features: Tensor, tokenizer: CaptionTokenizer, texts: Sequence[str], batch_size: int = 64
) -> Tensor:
    """log p(text | picture) (N, M) of M texts for N pictures' features (N, I, D)."""
    pairs = [(picture, text) for picture in range(len(features)) for text in range(len(texts))]
    found = [
        caption_likelihoods(
            model, features[[picture for picture, _ in part]], tokenizer, [texts[text] for _, text in part]
        )
        for part in (pairs[first : first + batch_size] for first in range(0, len(pairs), batch_size))
    ]
    return torch.cat(found).view(len(features), len(texts))


def without_prior(table: Tensor) -> Tensor:
    """A table (N, M) of log p(text | picture) less each text's own log p, its mean probability over the pictures.

    Else short and common texts win whatever the picture.
    """
    return table - (table.logsumexp(dim=0) - torch.tensor(len(table)).log())


def retrieval_at_1(table: Tensor) -> tuple[float, float]:
    """How often the own text is the likeliest of all for a picture, and the own picture the likeliest for a text; row i
    and column i of a table (N, N) belong together."""
    own = torch.arange(len(table), device=table.device)
    return (table.argmax(dim=1) == own).float().mean().item(), (table.argmax(dim=0) == own).float().mean().item()
