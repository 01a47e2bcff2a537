"""What each word of a caption costs on held-out scenes: the loss by kind of word and by place, gradients on patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from aimv2_lab.data.captions.lexicon import COLOUR_WORDS, GENERIC_NOUNS, SHAPE_WORDS, SIZE_WORDS
from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.evaluation.measure import world_source
from aimv2_lab.evaluation.world import world_pictures
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import text_errors
from aimv2_lab.model.patches import patchify
from aimv2_lab.report.decoder_figures import NextWords

KINDS: dict[str, frozenset[str]] = {
    "colours": frozenset(COLOUR_WORDS),
    "shapes": frozenset(SHAPE_WORDS),
    "directions": frozenset({"left", "right", "above", "over", "below", "under"}),
    "sizes": frozenset(word for phrases in SIZE_WORDS.values() for word in phrases),
    "“object”, “thing”": frozenset(GENERIC_NOUNS),
}
REST = "all other words"  # articles, openers, links, full stop and end


class HeldOut(NamedTuple):
    """Held-out scenes: pictures (B, 3, height, width) as the encoder gets them and in 0 … 1, and one caption each.

    `tokens` and `counted` (B, T) are as the tokenizer gives them.
    """

    images: Tensor
    pictures: Tensor
    tokens: Tensor
    counted: Tensor


def held_out(model: AIMv2, tokenizer: CaptionTokenizer, scenes: Sequence[int], view: int = 0) -> HeldOut:
    """Held-out scenes of the model's world; `view` says which of a scene's captions."""
    recipe, source = model.recipe, world_source(model.recipe)
    images = world_pictures(source, scenes, recipe.data, recipe.encoder.image_size)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (recipe.data.mean, recipe.data.std))
    texts = [source[scene].captions[view] for scene in scenes]
    tokens, counted = tokenizer.encode(texts, recipe.decoder.text_tokens)
    return HeldOut(images, (images * deviation + mean).clamp(0, 1), tokens, counted)


def words_of(tokens: Tensor, tokenizer: CaptionTokenizer) -> list[str]:
    """The words of a row of tokens (T,) up to its end token, which reads "end"."""
    ids = tokens.tolist()
    ids = ids[: ids.index(tokenizer.end_id)] if tokenizer.end_id in ids else ids
    return [*map(str, tokenizer.tokenizer.convert_ids_to_tokens(ids)), "end"]


def kind_of(word: str) -> str:
    """The kind that a caption's word belongs to; REST for one that names nothing in the picture."""
    return next((kind for kind, words in KINDS.items() if word in words), REST)


def loss_by_kind(errors: Mapping[str, Tensor], scenes: HeldOut, tokenizer: CaptionTokenizer) -> dict[str, list[float]]:
    """Mean of each of the named errors (B, T) over the words of every kind: kind -> one number per name."""
    names = {int(i): str(tokenizer.tokenizer.convert_ids_to_tokens(int(i))) for i in scenes.tokens.unique()}
    found = {}
    for kind in (*KINDS, REST):
        ids = torch.tensor([number for number, word in names.items() if kind_of(word) == kind])
        chosen = torch.isin(scenes.tokens, ids) & scenes.counted
        found[kind] = [error[chosen].mean().item() for error in errors.values()]
    return found


def loss_by_place(errors: Tensor, counted: Tensor, least: int = 30) -> Tensor:
    """Mean error at every place of the caption (places,), as far as at least `least` captions reach."""
    captions = counted.sum(dim=0)
    places = int((captions >= least).sum())
    return (errors * counted).sum(dim=0)[:places] / captions[:places]


def caption_gradients(model: AIMv2, image: Tensor, tokens: Tensor) -> Tensor:
    """How strongly the loss of every word (T,) of an image (3, height, width) depends on each patch: (T, I).

    Absolute gradients, summed over the values of a patch; the picture is seen whole.
    """
    watched = image[None].clone().requires_grad_()
    nats = text_errors(model(watched, tokens[None]).logits, tokens[None])[0]
    found = [torch.autograd.grad(word, watched, retain_graph=True, materialize_grads=True)[0] for word in nats]
    size = model.recipe.encoder.patch_size
    return torch.stack([patchify(gradient, size)[0].abs().sum(dim=-1) for gradient in found])


@torch.no_grad()
def next_words(model: AIMv2, scenes: HeldOut, tokenizer: CaptionTokenizer) -> list[NextWords]:
    """For every scene, what the decoder expects at each place, beside its own picture and beside the next scene's."""
    features = model.encoder(scenes.images)
    own, other = (model.decoder(f, scenes.tokens).logits.softmax(dim=-1) for f in (features, features.roll(-1, 0)))
    names = tokenizer.tokenizer.convert_ids_to_tokens(list(range(tokenizer.vocabulary_size)))
    vocabulary = ["end" if number == tokenizer.end_id else str(name) for number, name in enumerate(names)]
    others = scenes.pictures.roll(-1, 0)
    return [
        NextWords(scenes.pictures[s], others[s], words_of(scenes.tokens[s], tokenizer), own[s], other[s], vocabulary)
        for s in range(len(features))
    ]
