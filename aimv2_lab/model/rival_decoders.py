"""AIMv2's decoder with half of its objective: for pictures alone, for captions alone, for captions all at once (CapPa);
and both halves beside each other.

Each is drawn as AIMv2's decoder is, and then has taken away what it does not need: with one seed, a captioner begins
equal to AIMv2 in all that both have, so that runs can be compared in pairs. (For pictures alone only the encoder does.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aimv2_lab.model.decoder import MultimodalDecoder, Predictions
from aimv2_lab.model.masks import parallel_mask
from aimv2_lab.model.strips import Rows
from aimv2_lab.recipes import DecoderRecipe, Recipe


class PictureDecoder(MultimodalDecoder):
    """The decoder without captions: no token table, start vector, text positions or text head (paper, Table 9a)."""

    def __init__(self, recipe: DecoderRecipe, feature_width: int, patch_values: int) -> None:
        super().__init__(recipe, feature_width, patch_values)
        del self.start, self.token_table, self.text_positions, self.text_head

    def forward(
        self, features: Tensor, tokens: Tensor, text_slots: Tensor | None = None, *, rows: Rows | None = None
    ) -> Predictions:
        """Predict the next patch from every image slot; tokens must be (B, 0), and so are the logits.

        Raises ValueError for captions.
        """
        if tokens.shape[1]:
            raise ValueError(f"this decoder reads no captions, but got {tokens.shape[1]} tokens each; give (B, 0)")
        pixels = self.pixel_head(self.run(self.projection(features), rows=rows))
        return Predictions(pixels, pixels.new_empty(len(pixels), 0, self.recipe.vocabulary))


class CaptionDecoder(MultimodalDecoder):
    """The decoder without a pixel head (paper, Table 9a)."""

    def __init__(self, recipe: DecoderRecipe, feature_width: int, patch_values: int) -> None:
        super().__init__(recipe, feature_width, patch_values)
        del self.pixel_head

    def forward(
        self, features: Tensor, tokens: Tensor, text_slots: Tensor | None = None, *, rows: Rows | None = None
    ) -> Predictions:
        """Predict the next token from every text slot, as AIMv2's does; pixels are (B, 0, 0)."""
        slots = torch.cat([self.projection(features), self.embed_text(tokens)], dim=1)
        return self._said(self.run(slots, rows=rows)[:, features.shape[1] :], text_slots)

    def _said(self, text: Tensor, text_slots: Tensor | None) -> Predictions:
        chosen = text if text_slots is None else text.flatten(0, 1).index_select(0, text_slots)
        return Predictions(text.new_empty(len(text), 0, 0), self.text_head(chosen))


class ParallelDecoder(CaptionDecoder):
    """CapPa's: predicts some captions from the picture alone, all tokens at once, and the others as ever.

    In the text slots of a caption predicted at once stands a learned mask vector, and they all see each other. There
    are as many as captions may have tokens, so that their number says nothing of the caption's length. Image slots are
    causal in every case. Source: CapPa (arXiv 2306.07915), its released code; that pictures and text are one sequence
    is AIMv2's.
    """

    def __init__(self, recipe: DecoderRecipe, feature_width: int, patch_values: int) -> None:
        super().__init__(recipe, feature_width, patch_values)
        self.mask_token = nn.Parameter(torch.empty(recipe.width))
        nn.init.normal_(self.mask_token, std=0.02)  # as the token table

    def forward(
        self,
        features: Tensor,
        tokens: Tensor,
        text_slots: Tensor | None = None,
        parallel: Tensor | None = None,
        *,
        rows: Rows | None = None,
    ) -> Predictions:
        """Predict every token of the captions that `parallel` (B,) names at once, the next one of the others.

        Without `parallel` all are predicted as ever. Raises ValueError where some are predicted at once and tokens
        (B, T) are not padded to the recipe's text tokens.
        """
        if parallel is None:
            return super().forward(features, tokens, text_slots, rows=rows)
        patches, length = features.shape[1], self.recipe.text_tokens
        if tokens.shape[1] != length:
            raise ValueError(
                f"{tokens.shape[1]} tokens per caption: those predicted at once must be padded to {length}, or the "
                "number of text slots gives their length away"
            )
        masked = self.mask_token + self.text_positions
        text = torch.where(parallel[:, None, None], masked, self.embed_text(tokens))
        slots = torch.cat([self.projection(features), text], dim=1)
        mask = parallel_mask(parallel, patches, length)
        for block in self.blocks:
            slots = block(slots, mask)
        return self._said(self.norm(slots)[:, patches:], text_slots)


class SeparateDecoders(CaptionDecoder):
    """A decoder of captions, and one of pictures beside it, both over the same features (paper, Table 9d)."""

    def __init__(self, recipe: DecoderRecipe, feature_width: int, patch_values: int) -> None:
        super().__init__(recipe, feature_width, patch_values)
        self.pictures = PictureDecoder(recipe, feature_width, patch_values)

    def forward(
        self, features: Tensor, tokens: Tensor, text_slots: Tensor | None = None, *, rows: Rows | None = None
    ) -> Predictions:
        """Predict the next patch from every image slot, and the next token from every text slot, which has seen the
        features but nothing of the other decoder. Padding lies behind a picture's patches, so that they see none."""
        pixels = self.pictures(features, tokens[:, :0]).pixels
        return Predictions(pixels, super().forward(features, tokens, text_slots, rows=rows).logits)


def decoder_of(recipe: Recipe) -> MultimodalDecoder:
    """The decoder that a recipe's objective needs, drawn from torch's global generator."""
    kind = MultimodalDecoder
    if not recipe.text_tokens:
        kind = PictureDecoder
    elif recipe.objective.parallel_share:
        kind = ParallelDecoder
    elif recipe.objective.target == "none":
        kind = CaptionDecoder
    elif recipe.decoder.separate:
        kind = SeparateDecoders
    return kind(recipe.decoder, recipe.encoder.width, recipe.encoder.patch_values)
