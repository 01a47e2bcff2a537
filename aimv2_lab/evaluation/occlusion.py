"""What a word depends on, by intervention: hide a patch, and see what the word loses."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from aimv2_lab.evaluation.contribution import log_probabilities
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import text_errors
from aimv2_lab.model.patches import patchify, unpatchify

Paint = Literal["median", "mean"]


def hidden(images: Tensor, patch: int, patch_size: int, paint: Paint = "median") -> Tensor:
    """The images (B, 3, height, width) with one patch painted over in each image's median or mean colour.

    The median is the ground's colour wherever objects cover less than half.
    """
    patches, pixels = patchify(images, patch_size), images.flatten(2)
    colour = pixels.median(dim=-1).values if paint == "median" else pixels.mean(dim=-1)
    patches[:, patch] = colour.repeat(1, patch_size**2)  # a patch's values run over pixels, then channels
    return unpatchify(patches, (images.shape[-2] // patch_size, images.shape[-1] // patch_size), patch_size)


def occlusion_loss(model: AIMv2, images: Tensor, tokens: Tensor, places: Tensor, paint: Paint = "median") -> Tensor:
    """Nats (B, I) that token number `places` (B,) of each caption (B, T) loses when a patch is hidden."""
    size, rows = model.recipe.encoder.patch_size, torch.arange(len(images))

    def said(pictures: Tensor) -> Tensor:
        with torch.no_grad():
            return log_probabilities(model, model.encoder(pictures), tokens)[rows, places]

    patches = patchify(images, size).shape[1]
    seen = said(images)
    return torch.stack([seen - said(hidden(images, patch, size, paint)) for patch in range(patches)], dim=1)


def gradient_size(model: AIMv2, images: Tensor, tokens: Tensor, places: Tensor) -> Tensor:
    """Length (B, I) of the gradient of each caption's token number `places` (B,) with regard to each patch."""
    with torch.enable_grad():
        pictures = images.clone().requires_grad_()
        nats = text_errors(model(pictures, tokens).logits, tokens)[torch.arange(len(images)), places]
        (gradient,) = torch.autograd.grad(nats.sum(), pictures)
    return patchify(gradient, model.recipe.encoder.patch_size).norm(dim=-1)


def rank_agreement(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation (B,) of the rows of a and b (B, I), -1 … 1; 0 on average for unrelated rows."""
    ranks = [values.argsort(dim=-1).argsort(dim=-1).double() for values in (a, b)]
    one, other = (rank - rank.mean(dim=-1, keepdim=True) for rank in ranks)
    return torch.nn.functional.cosine_similarity(one, other, dim=-1).float()
