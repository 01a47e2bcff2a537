"""AIM v1, AIMv2's predecessor: the same prefix trunk in older parts, and an MLP head that predicts the next patch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.layers import MLP
from aimv2_lab.model.orders import batch_order
from aimv2_lab.model.positions import sincos_positions
from aimv2_lab.recipes import AIMv1Recipe, EncoderRecipe, PixelHeadRecipe, TrunkRecipe


class AIMv1Trunk(VisionEncoder):
    """The encoder with LayerNorm for RMSNorm, a two-layer MLP for SwiGLU, and fixed sine-cosine positions.

    Everything else, the prefix mask included, is AIMv2's. Source: AIM v1's architecture; details from released code.
    """

    norm_type = nn.LayerNorm
    feed_forward_type = MLP
    recipe_type = TrunkRecipe


def encoder_of(recipe: EncoderRecipe | TrunkRecipe) -> VisionEncoder:
    """The encoder that a recipe describes, AIMv2's or AIM v1's, drawn from torch's global generator."""
    return AIMv1Trunk(recipe) if isinstance(recipe, TrunkRecipe) else VisionEncoder(recipe)


class HeadBlock(nn.Module):
    """One block of the head: x + norm(x), then an MLP added to the residual stream, every patch on its own.

    The first sum is what is left of a transformer block whose attention passes its input through. Source: released
    training code.
    """

    def __init__(self, width: int, norm_eps: float) -> None:
        super().__init__()
        self.pass_through_norm = nn.LayerNorm(width, eps=norm_eps)
        self.feed_forward_norm = nn.LayerNorm(width, eps=norm_eps)
        self.feed_forward = MLP(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Update the residual stream x (B, I, D)."""
        x = x + self.pass_through_norm(x)
        return x + self.feed_forward(self.feed_forward_norm(x))


class PixelHead(nn.Module):
    """From features to the pixels of the next patch, every patch on its own; thrown away after training.

    A projection (with bias), positions once more, MLP blocks, a norm, a linear layer (with bias). With depth 0 a single
    linear layer is all there is. Source: AIM v1, its architecture; the order from the released training code.
    """

    def __init__(self, recipe: PixelHeadRecipe, feature_width: int, patch_values: int) -> None:
        super().__init__()
        self.recipe = recipe
        width, eps, has_blocks = recipe.width, recipe.norm_eps, recipe.depth > 0
        self.projection = nn.Linear(feature_width, width) if has_blocks else None
        self.blocks = nn.ModuleList(HeadBlock(width, eps) for _ in range(recipe.depth))
        self.norm = nn.LayerNorm(width, eps=eps) if has_blocks else None
        self.pixels = nn.Linear(width if has_blocks else feature_width, patch_values)
        self._initialise()

    def forward(self, features: Tensor, grid: tuple[int, int], order: Tensor | None = None) -> Tensor:
        """Pixels (B, I, K) of the next patch from features (B, I, D) of a grid of (rows, columns) patches.

        Features come in raster order, or in `order` (I,).
        """
        if self.projection is None or self.norm is None:
            return self.pixels(features)
        x = self.projection(features)
        positions = sincos_positions(*grid, x.shape[-1], x.device)
        x = x + (positions if order is None else positions[order]).to(x.dtype)
        for block in self.blocks:
            x = block(x)
        return self.pixels(self.norm(x))

    def _initialise(self) -> None:
        """Xavier uniform linears, biases zero (released training code)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class AIMv1(nn.Module):
    """Trunk and head of one recipe; `model.encoder` is what pre-training is for.

    It is called as AIMv2 is, so that whatever trains and reads one does so with the other.
    """

    def __init__(self, recipe: AIMv1Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = AIMv1Trunk(recipe.encoder)
        self.head = PixelHead(recipe.head, recipe.encoder.width, recipe.encoder.patch_values)

    def forward(
        self,
        images: Tensor,
        tokens: Tensor,
        prefix_lengths: Tensor | None = None,
        text_slots: Tensor | None = None,
    ) -> Predictions:
        """Next-patch predictions for images (B, 3, height, width); tokens must be (B, 0), and so are the logits.

        `prefix_lengths` as in the encoder; there are no text slots to choose from. Patches and predictions are in the
        recipe's patch order. Raises ValueError for captions: AIM v1 reads none.
        """
        if tokens.shape[1]:
            raise ValueError(f"AIM v1 reads no text, but got {tokens.shape[1]} tokens per image; give tokens of (B, 0)")
        size = self.recipe.encoder.patch_size
        grid = (images.shape[-2] // size, images.shape[-1] // size)
        order = batch_order(images, self.recipe)
        pixels = self.head(self.encoder(images, prefix_lengths, order), grid, None if order is None else order[0])
        return Predictions(pixels, torch.empty(len(images), 0, 1, dtype=pixels.dtype, device=pixels.device))
