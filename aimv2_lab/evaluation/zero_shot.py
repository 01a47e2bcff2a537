"""What two towers can do without any training for it: name a picture's class, find the picture of a text."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.model.two_towers import TwoTowers


@torch.no_grad()
def embed_images(towers: TwoTowers, images: Tensor, batch_size: int = 256) -> Tensor:
    """Vectors of length one (N, P), on the CPU, of normalised images (N, 3, height, width)."""
    device = towers.log_scale.device
    return torch.cat([towers.embed_images(part.to(device)).cpu() for part in images.split(batch_size)])


@torch.no_grad()
def embed_texts(towers: TwoTowers, tokenizer: CaptionTokenizer, texts: Sequence[str], batch_size: int = 256) -> Tensor:
    """Vectors of length one (N, P), on the CPU, of texts, cut as in training; ValueError where there are none."""
    if not texts:
        raise ValueError("no texts to embed: give at least one, and where they are classes at least one template")
    device, found = towers.log_scale.device, []
    for first in range(0, len(texts), batch_size):
        tokens, counted = tokenizer.encode(texts[first : first + batch_size], towers.recipe.text_tokens)
        found.append(towers.embed_texts(tokens.to(device), counted.sum(dim=1).to(device) - 1).cpu())
    return torch.cat(found)


def embed_classes(
    towers: TwoTowers, tokenizer: CaptionTokenizer, classes: Sequence[str], templates: Sequence[str]
) -> Tensor:
    """One vector of length one (C, P) a class: the mean over the templates, in which {} stands for the class's name.

    Raises ValueError for a template without {}. Source: CLIP's prompt ensembles.
    """
    if wrong := [template for template in templates if "{}" not in template]:
        raise ValueError(f"template {wrong[0]!r} has no {{}}, where the name of the class is to stand")
    texts = [template.replace("{}", name) for name in classes for template in templates]
    vectors = embed_texts(towers, tokenizer, texts).unflatten(0, (len(classes), len(templates)))
    return functional.normalize(vectors.mean(dim=1), dim=-1)


def zero_shot_accuracy(images: Tensor, classes: Tensor, labels: Tensor) -> float:
    """The share of pictures (N, P) whose nearest class (C, P) is their label (N,)."""
    return ((images @ classes.T).argmax(dim=1) == labels).float().mean().item()


def recall_at_1(queries: Tensor, found: Tensor, same: Sequence[Hashable] | None = None) -> float:
    """The share of queries (N, P) whose nearest vector of `found` (N, P) is that of the same row.

    Or one that is as good: with `same`, one of those whose entry there is equal, as where a text stands twice.
    """
    nearest = (queries @ found.T).argmax(dim=1).tolist()
    keys: Sequence[Hashable] = range(len(found)) if same is None else same
    return sum(keys[place] == keys[row] for row, place in enumerate(nearest)) / len(nearest)
