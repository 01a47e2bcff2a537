"""Masked image modelling: the encoder computes a few patches, and a light decoder fills in the pixels of the others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aimv2_lab.model.aimv1 import encoder_of
from aimv2_lab.model.layers import Block, initialise_block
from aimv2_lab.model.objective import Losses
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.model.positions import sincos_positions
from aimv2_lab.recipes import MaskedDecoderRecipe, MaskedImageRecipe


class MaskedDecoder(nn.Module):
    """Blocks over the features of visible patches and a learned vector for each hidden one, and a linear pixel head.

    All see each other, and sine-cosine positions say where each is. Source: MAE (arXiv 2111.06377); blocks and their
    initialisation are the encoder's.
    """

    def __init__(self, recipe: MaskedDecoderRecipe, feature_width: int, grid_size: int, patch_values: int) -> None:
        super().__init__()
        self.grid_size = grid_size
        width = recipe.width
        self.projection = nn.Linear(feature_width, width)
        self.mask_token = nn.Parameter(torch.empty(width))
        self.blocks = nn.ModuleList(
            Block(width, recipe.heads, recipe.hidden, recipe.norm_eps) for _ in range(recipe.depth)
        )
        self.norm = nn.RMSNorm(width, eps=recipe.norm_eps)
        self.pixel_head = nn.Linear(width, patch_values)
        self._initialise()

    def forward(self, features: Tensor, patch_order: Tensor) -> Tensor:
        """Pixels (B, H, K) of the hidden patches from features (B, V, D) of the visible ones.

        `patch_order` (B, I) names the visible patches first, in the order of the features, then the hidden ones, in
        that of the predictions.
        """
        seen = self.projection(features)
        batch, visible, width = seen.shape
        hidden = self.mask_token.to(seen.dtype).expand(batch, patch_order.shape[1] - visible, -1)
        positions = sincos_positions(self.grid_size, self.grid_size, width, seen.device)
        slots = torch.cat([seen, hidden], dim=1) + positions[patch_order]
        for block in self.blocks:
            slots = block(slots)
        return self.pixel_head(self.norm(slots[:, visible:]))

    def _initialise(self) -> None:
        """Xavier uniform linears with biases zero, mask vector normal 0.02 (MAE's released code)."""
        for linear in (self.projection, self.pixel_head):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        nn.init.normal_(self.mask_token, std=0.02)
        for block in self.blocks:
            assert isinstance(block, Block)
            initialise_block(block)


class MaskedImageModel(nn.Module):
    """Encoder and light decoder of one recipe; `model.encoder` is what training is for."""

    def __init__(self, recipe: MaskedImageRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        encoder = recipe.encoder
        self.encoder = encoder_of(encoder)
        self.decoder = MaskedDecoder(recipe.decoder, encoder.width, encoder.grid_size, encoder.patch_values)

    def forward(self, images: Tensor, patch_order: Tensor) -> Tensor:
        """Pixels (B, H, K) of the hidden patches of images (B, 3, height, width), from the visible ones alone.

        `patch_order` (B, I) names the patches of every image in an order of its own, the visible ones first.
        """
        visible = patch_order[:, : self.recipe.visible_patches]
        return self.decoder(self.encoder(images, visible=visible), patch_order)


def masked_losses(pixels: Tensor, images: Tensor, patch_order: Tensor, patches: int, patch_size: int) -> Losses:
    """This batch's share of the global batch's losses; shares of all ranks and micro-batches add up to them.

    The squared error of pixels (B, H, K), averaged over K, with the standardised hidden patches of images (B, 3,
    height, width), the last H that `patch_order` (B, I) names, averaged over the `patches` hidden ones of the global
    batch. There is no text: its loss is 0.
    """
    targets = standardise(patchify(images.float(), patch_size)).values
    hidden = patch_order[:, -pixels.shape[1] :, None].expand(-1, -1, targets.shape[-1])
    errors = (pixels.float() - targets.gather(1, hidden)).square().mean(dim=-1)
    pixel = errors.sum() / max(patches, 1)
    return Losses(pixel, pixel, torch.zeros_like(pixel))
