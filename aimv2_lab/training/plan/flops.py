"""The arithmetic that a picture costs, counted from the recipe: what a step's speed is held against."""

from __future__ import annotations

from typing import NamedTuple

from aimv2_lab.recipes import AIMv1Recipe, PretrainingRecipe

STEP_SHARE = 3  # a training step in forward passes: the backward pass costs two


class Flops(NamedTuple):
    """Floating-point operations of one picture's forward pass (2 per multiplication and addition), by part.

    Matrix products alone. The encoder's attention is counted whole, the causal decoder's half.
    """

    encoder: int
    encoder_attention: int
    decoder: int  # AIM v1's head likewise
    decoder_attention: int
    text_head: int
    pixels: int  # patch projection, projection of features, pixel head

    @property
    def forward(self) -> int:
        """One forward pass."""
        return sum(self)

    @property
    def step(self) -> int:
        """Forward and backward: what model FLOPs utilisation counts, recomputed blocks left out."""
        return STEP_SHARE * self.forward

    @property
    def blocks(self) -> int:
        """What is run once more where blocks are recomputed for the backward pass."""
        return self.encoder + self.encoder_attention + self.decoder + self.decoder_attention


def picture_flops(recipe: PretrainingRecipe, text_tokens: int | None = None) -> Flops:
    """The FLOPs of one picture with a caption of `text_tokens` tokens, by default as many as the recipe allows."""
    encoder, patches = recipe.encoder, recipe.encoder.patches
    width, values = encoder.width, encoder.patch_values
    matrices = 2 if isinstance(recipe, AIMv1Recipe) else 3  # of a feed-forward layer
    trunk = encoder.depth * 2 * patches * (4 * width**2 + matrices * width * encoder.hidden)
    attention = encoder.depth * 4 * patches**2 * width
    embedding = 2 * patches * values * width
    if isinstance(recipe, AIMv1Recipe):
        head = recipe.head
        blocks = head.depth * 2 * patches * 8 * head.width**2
        into = 2 * patches * width * head.width if head.depth else 0
        out = 2 * patches * (head.width if head.depth else width) * values
        return Flops(trunk, attention, blocks, 0, 0, embedding + into + out)
    decoder = recipe.decoder
    tokens = recipe.text_tokens if text_tokens is None else text_tokens
    slots = patches + tokens
    return Flops(
        trunk,
        attention,
        decoder.depth * 2 * slots * (4 * decoder.width**2 + 3 * decoder.width * decoder.hidden),
        decoder.depth * 2 * slots**2 * decoder.width,
        2 * tokens * decoder.width * decoder.vocabulary,
        embedding + 2 * patches * width * decoder.width + 2 * patches * decoder.width * values,
    )


def flops_utilisation(
    recipe: PretrainingRecipe, images_per_second: float, peak: float, text_tokens: int | None = None
) -> float:
    """Model FLOPs utilisation: which share of a device's `peak` FLOP/s a rate on that device puts into the model."""
    return images_per_second * picture_flops(recipe, text_tokens).step / peak
