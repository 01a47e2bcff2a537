"""The arithmetic that a picture costs, counted from the recipe: what a step's speed is held against, and what rival
objectives are compared by at an equal budget."""

from __future__ import annotations

from typing import NamedTuple

from aimv2_lab.recipes import AIMv1Recipe, ContrastiveRecipe, MaskedImageRecipe, PretrainingRecipe, Recipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe

STEP_SHARE = 3  # a training step in forward passes: the backward pass costs two

CountedRecipe = PretrainingRecipe | ContrastiveRecipe | MaskedImageRecipe


class Flops(NamedTuple):
    """Floating-point operations of one picture's forward pass (2 per multiplication and addition), by part.

    Matrix products alone. The encoder's attention is counted whole, the causal decoder's half.
    """

    encoder: int
    encoder_attention: int
    decoder: int  # AIM v1's head and a text tower likewise
    decoder_attention: int
    text_head: int
    pixels: int  # patch projection, projection of features, pixel head
    pairing: int = 0  # pooling, projections into the shared space, and similarities with the whole global batch
    frozen: int = 0  # how much of the encoder and its patch projection has no backward pass

    @property
    def forward(self) -> int:
        """One forward pass."""
        return sum(self) - self.frozen

    @property
    def step(self) -> int:
        """Forward and backward: what model FLOPs utilisation counts, and equal FLOPs are equal in.

        What is run again is left out: recomputed blocks, and the first of a contrastive loss's two passes over several
        micro-batches.
        """
        return STEP_SHARE * self.forward - (STEP_SHARE - 1) * self.frozen

    @property
    def blocks(self) -> int:
        """What is run once more where blocks are recomputed for the backward pass."""
        return self.encoder + self.encoder_attention + self.decoder + self.decoder_attention


def picture_flops(recipe: CountedRecipe, text_tokens: int | None = None) -> Flops:
    """The FLOPs of one picture with a caption of `text_tokens` tokens, by default and at most all the recipe allows.

    Patches that a masked autoencoder hides cost the encoder their projection alone. Where captions are predicted all at
    once, there are as many text slots as the recipe allows, whatever a caption has, and `text_tokens` of them pass
    through the text head; the mean over both ways of predicting is counted.
    """
    tokens = recipe.text_tokens if text_tokens is None else min(text_tokens, recipe.text_tokens)
    if isinstance(recipe, AIMv1Recipe):
        return _of_aimv1(recipe)
    if isinstance(recipe, MaskedImageRecipe):
        return _of_masked_images(recipe)
    return _of_pairing(recipe, tokens) if isinstance(recipe, ContrastiveRecipe) else _of_aimv2(recipe, tokens)


def flops_utilisation(
    recipe: CountedRecipe, images_per_second: float, peak: float, text_tokens: int | None = None
) -> float:
    """Model FLOPs utilisation: which share of a device's `peak` FLOP/s a rate on that device puts into the model."""
    return images_per_second * picture_flops(recipe, text_tokens).step / peak


def steps_of_equal_flops(recipe: CountedRecipe, reference: CountedRecipe, text_tokens: int | None = None) -> int:
    """How many steps of `recipe` cost what all steps of `reference` do, to the nearest one; at least one.

    Captions have `text_tokens` tokens, their mean in the data, by default as many as each recipe allows. Validation is
    left out.
    """
    budget = reference.training.steps * reference.training.batch_size * picture_flops(reference, text_tokens).step
    return max(round(budget / (recipe.training.batch_size * picture_flops(recipe, text_tokens).step)), 1)


def _block_flops(tokens: int, width: int, hidden: int, feed_forward_matrices: int = 3) -> int:
    """The matrices of one block, attention between tokens left out."""
    return 2 * tokens * (4 * width**2 + feed_forward_matrices * width * hidden)


def _encoder_flops(encoder: EncoderRecipe | TrunkRecipe, patches: int) -> tuple[int, int]:
    """The blocks over so many patches, and their attention."""
    matrices = 2 if isinstance(encoder, TrunkRecipe) else 3
    blocks = encoder.depth * _block_flops(patches, encoder.width, encoder.hidden, matrices)
    return blocks, encoder.depth * 4 * patches**2 * encoder.width


def _embedding_flops(encoder: EncoderRecipe | TrunkRecipe) -> int:
    return 2 * encoder.patches * encoder.patch_values * encoder.width


def _of_aimv1(recipe: AIMv1Recipe) -> Flops:
    encoder, head, patches = recipe.encoder, recipe.head, recipe.encoder.patches
    blocks = head.depth * 2 * patches * 8 * head.width**2
    into = 2 * patches * encoder.width * head.width if head.depth else 0
    out = 2 * patches * (head.width if head.depth else encoder.width) * encoder.patch_values
    return Flops(*_encoder_flops(encoder, patches), blocks, 0, 0, _embedding_flops(encoder) + into + out)


def _of_aimv2(recipe: Recipe, tokens: int) -> Flops:
    encoder, decoder, patches = recipe.encoder, recipe.decoder, recipe.encoder.patches
    share = recipe.objective.parallel_share
    slots = patches + (recipe.text_tokens if share else tokens)
    seen = slots**2 + share * recipe.text_tokens**2  # twice the pairs of slots that attention joins
    head = 0 if recipe.objective.target == "none" else 2 * patches * decoder.width * encoder.patch_values
    # A second decoder is over the patches alone.
    again = patches if decoder.separate else 0
    return Flops(
        *_encoder_flops(encoder, patches),
        decoder.depth * _block_flops(slots + again, decoder.width, decoder.hidden),
        round(decoder.depth * 2 * (seen + again**2) * decoder.width),
        2 * tokens * decoder.width * decoder.vocabulary,
        _embedding_flops(encoder) + 2 * (patches + again) * encoder.width * decoder.width + head,
    )


def _of_masked_images(recipe: MaskedImageRecipe) -> Flops:
    encoder, decoder, visible = recipe.encoder, recipe.decoder, recipe.visible_patches
    projection = 2 * visible * encoder.width * decoder.width
    head = 2 * recipe.hidden_patches * decoder.width * encoder.patch_values
    return Flops(
        *_encoder_flops(encoder, visible),
        decoder.depth * _block_flops(encoder.patches, decoder.width, decoder.hidden),
        decoder.depth * 4 * encoder.patches**2 * decoder.width,
        0,
        _embedding_flops(encoder) + projection + head,
    )


def _of_pairing(recipe: ContrastiveRecipe, tokens: int) -> Flops:
    encoder, text = recipe.encoder, recipe.text
    blocks, attention = _encoder_flops(encoder, encoder.patches)
    embedding = _embedding_flops(encoder)
    pooling = 4 * encoder.patches * (encoder.width**2 + encoder.width) + 2 * encoder.width**2
    projections = 2 * (encoder.width + text.width) * recipe.shared_width
    # With every text of the global batch, and under the softmax every text with every picture too.
    similarities = (2 if recipe.loss == "softmax" else 1) * 2 * recipe.training.batch_size * recipe.shared_width
    return Flops(
        blocks,
        attention,
        text.depth * _block_flops(tokens, text.width, text.hidden),
        text.depth * 2 * tokens**2 * text.width,
        0,
        embedding,
        pooling + projections + similarities,
        blocks + attention + embedding if recipe.image_tower == "frozen" else 0,
    )
