"""Other decoders on the same weights, the wrong ones too, planted in a copy of a model.

A decoder takes the `MultimodalDecoder` whose weights it uses, features (B, I, feature width) and tokens (B, T), and
returns `Predictions`, as `MultimodalDecoder.forward` does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.decoder import MultimodalDecoder, Predictions

Decode = Callable[[MultimodalDecoder, Tensor, Tensor], Predictions]
MemoryMask = Callable[[int, int], Tensor]  # (patches, tokens) -> mask (T + I, T + I), text slots first, True = may see


def with_decoder(model: AIMv2, decode: Decode) -> AIMv2:
    """A copy of `model` that decodes by `decode`; the model itself stays as it is."""
    changed = copy.deepcopy(model)

    def forward(features: Tensor, tokens: Tensor, _text_slots: Tensor | None = None) -> Predictions:
        return decode(changed.decoder, features, tokens)

    changed.decoder.forward = forward  # type: ignore[assignment, method-assign]
    return changed


def caption_first(decoder: MultimodalDecoder, features: Tensor, tokens: Tensor) -> Predictions:
    """The two halves exchanged: causal, with the caption before the picture."""
    text = decoder.embed_text(tokens)
    hidden = decoder.run(torch.cat([text, decoder.projection(features)], dim=1))
    length = text.shape[1]
    return Predictions(decoder.pixel_head(hidden[:, length:]), decoder.text_head(hidden[:, :length]))


def unshifted(decoder: MultimodalDecoder, features: Tensor, tokens: Tensor) -> Predictions:
    """The start vector forgotten: slot t holds the token that it is to predict."""
    patches, length = features.shape[1], tokens.shape[1]
    text = decoder.token_table(tokens) + decoder.text_positions[:length]
    hidden = decoder.run(torch.cat([decoder.projection(features), text], dim=1))
    return Predictions(decoder.pixel_head(hidden[:, :patches]), decoder.text_head(hidden[:, patches:]))


def stored_text_first(mask: MemoryMask) -> Decode:
    """The caption's slots before the picture's in memory; `mask` alone says who may see whom."""

    def decode(decoder: MultimodalDecoder, features: Tensor, tokens: Tensor) -> Predictions:
        text = decoder.embed_text(tokens)
        slots, length = torch.cat([text, decoder.projection(features)], dim=1), text.shape[1]
        may_see = mask(features.shape[1], length)
        for block in decoder.blocks:
            slots = block(slots, mask=may_see)
        hidden = decoder.norm(slots)
        return Predictions(decoder.pixel_head(hidden[:, length:]), decoder.text_head(hidden[:, :length]))

    return decode


@contextmanager
def counted_slots(decoder: MultimodalDecoder) -> Iterator[list[int]]:
    """Count the slots that pass through each block: one entry per call of the decoder's blocks, of one sequence."""
    passed: list[int] = []

    def note(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        passed.append(arguments[0].shape[1])

    handle = decoder.blocks[0].register_forward_pre_hook(note)
    try:
        yield passed
    finally:
        handle.remove()
