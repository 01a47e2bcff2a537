"""AIMv2: the prefix encoder and the multimodal decoder, trained together."""

from __future__ import annotations

from torch import Tensor, nn

from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.orders import batch_order
from aimv2_lab.model.rival_decoders import ParallelDecoder, decoder_of
from aimv2_lab.model.strips import Strips
from aimv2_lab.recipes import Recipe


class AIMv2(nn.Module):
    """Encoder and decoder of one recipe, whole or with half of the objective; `model.encoder` is what pre-training is
    for.

    Source: paper, section 2 and Figure 1.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = VisionEncoder(recipe.encoder)
        self.decoder = decoder_of(recipe)

    def forward(
        self,
        images: Tensor,
        tokens: Tensor,
        prefix_lengths: Tensor | None = None,
        text_slots: Tensor | None = None,
        parallel: Tensor | None = None,
        strips: Strips | None = None,
    ) -> Predictions:
        """Next-patch and next-token predictions for images (B, 3, height, width) with captions (B, T).

        `prefix_lengths` as in the encoder; pixel predictions of a fully visible image (None) have seen their targets.
        `text_slots` as in the decoder; None gives the logits of all. `parallel` is for CapPa's decoder alone. Patches
        and predictions are in the recipe's patch order. With `strips`, images are strips of pictures of many sizes, as
        in the encoder, and no slot of padding is seen.
        """
        if strips is not None:
            features = self.encoder(images, prefix_lengths, strips=strips)
            return self.decoder(features, tokens, text_slots, rows=strips.decoder_rows)
        features = self.encoder(images, prefix_lengths, batch_order(images, self.recipe))
        if parallel is None:
            return self.decoder(features, tokens, text_slots)
        assert isinstance(self.decoder, ParallelDecoder)
        return self.decoder(features, tokens, text_slots, parallel)
