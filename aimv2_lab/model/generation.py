"""Captions out of the decoder: greedy or top-p, with a key-value cache."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.layers import KeyValueCache


def choose(logits: Tensor, top_p: float | None, temperature: float, generator: torch.Generator | None) -> Tensor:
    """One token (B,) from next-token logits (B, V): the likeliest, or drawn from the top-p nucleus.

    The nucleus is the smallest set of likeliest tokens whose probabilities reach top_p. Raises ValueError for top_p
    outside (0, 1] or a temperature that is not positive.
    """
    if top_p is None:
        return logits.argmax(dim=-1)
    if not 0 < top_p <= 1 or temperature <= 0:
        raise ValueError(f"top_p = {top_p} must lie in (0, 1] and temperature = {temperature} above 0")
    probabilities, order = (logits.float() / temperature).softmax(dim=-1).sort(dim=-1, descending=True)
    reached_before = probabilities.cumsum(dim=-1) - probabilities >= top_p
    drawn = torch.multinomial(probabilities.masked_fill(reached_before, 0.0), 1, generator=generator)
    return order.gather(-1, drawn)[:, 0]


@torch.no_grad()
def generate(
    model: AIMv2,
    images: Tensor,
    end_id: int,
    max_tokens: int | None = None,
    top_p: float | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
) -> Tensor:
    """Captions (B, T) for images (B, 3, height, width), seen whole; after its end token a caption repeats it.

    Stops when every caption has ended, or at `max_tokens` (default and upper bound: the recipe's text tokens).
    `use_cache=False` recomputes the whole sequence for every token: slow, for checking the cache.
    Raises ValueError for a model that reads no captions.
    """
    if not model.recipe.text_tokens:
        raise ValueError(f"the model of recipe {model.recipe.name} reads no captions, and can write none")
    decoder = model.decoder
    limit = decoder.recipe.text_tokens if max_tokens is None else min(max_tokens, decoder.recipe.text_tokens)
    image_slots = decoder.projection(model.encoder(images))
    caches = [KeyValueCache() for _ in decoder.blocks] if use_cache else None
    tokens = torch.empty(len(images), 0, dtype=torch.long, device=images.device)
    ended = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    while tokens.shape[1] < limit and not ended.all():
        # embed_text leaves out the last token it is given, so a placeholder stands for the one to be predicted.
        text_slots = decoder.embed_text(torch.nn.functional.pad(tokens, (0, 1)))
        first = not use_cache or tokens.shape[1] == 0
        slots = torch.cat([image_slots, text_slots], dim=1) if first else text_slots[:, -1:]
        next_token = choose(decoder.text_head(decoder.run(slots, caches)[:, -1]), top_p, temperature, generator)
        next_token = next_token.masked_fill(ended, end_id)
        ended |= next_token == end_id
        tokens = torch.cat([tokens, next_token[:, None]], dim=1)
    return tokens
