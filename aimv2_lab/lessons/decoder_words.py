"""What each word of a caption costs on held-out scenes: the loss by kind of word and by place, gradients on patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.evaluation.contribution import by_word_kind
from aimv2_lab.evaluation.occlusion import gradient_size
from aimv2_lab.lessons.held_out import HeldOut
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.report.decoder_figures import NextWords


def loss_by_kind(errors: Mapping[str, Tensor], words: Sequence[Sequence[str]]) -> dict[str, list[float]]:
    """Mean of each of the named errors (B, T) over the words of every kind: kind -> one number per name.

    `words` are the captions' words, row by row.
    """
    sorted_errors = [by_word_kind(words, error) for error in errors.values()]
    return {kind: [found[kind].mean().item() for found in sorted_errors] for kind in sorted_errors[0]}


def loss_by_place(errors: Tensor, counted: Tensor, least: int = 30) -> Tensor:
    """Mean error at every place of the caption (places,), as far as at least `least` captions reach."""
    captions = counted.sum(dim=0)
    places = int((captions >= least).sum())
    return (errors * counted).sum(dim=0)[:places] / captions[:places]


def caption_gradients(model: AIMv2, image: Tensor, tokens: Tensor) -> Tensor:
    """How strongly the loss of every word (T,) of an image (3, height, width) depends on each patch: (T, I).

    The lengths that `gradient_size` measures; the picture is seen whole.
    """
    count = len(tokens)
    return gradient_size(model, image.expand(count, -1, -1, -1), tokens.expand(count, -1), torch.arange(count))


@torch.no_grad()
def next_words(model: AIMv2, scenes: HeldOut, tokenizer: CaptionTokenizer) -> list[NextWords]:
    """For every scene, what the decoder expects at each place, beside its own picture and beside the next scene's."""
    tokens, _ = tokenizer.encode(scenes.captions, model.recipe.text_tokens)
    features = model.encoder(scenes.images)
    own, other = (model.decoder(f, tokens).logits.softmax(dim=-1) for f in (features, features.roll(-1, 0)))
    vocabulary = [tokenizer.words([number])[0] for number in range(tokenizer.vocabulary_size)]
    pictures, others = scenes.pictures, scenes.pictures.roll(-1, 0)
    return [
        NextWords(pictures[s], others[s], tokenizer.words(tokens[s]), own[s], other[s], vocabulary)
        for s in range(len(features))
    ]
