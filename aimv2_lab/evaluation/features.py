"""Frozen features of many pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.model.encoder import VisionEncoder


@torch.no_grad()
def frozen_features(encoder: VisionEncoder, images: Tensor, batch_size: int = 256) -> Tensor:
    """Final-normed features (N, I, D), on the CPU, of normalised images (N, 3, height, width) seen whole."""
    device = next(encoder.parameters()).device
    return torch.cat([encoder(part.to(device)).float().cpu() for part in images.split(batch_size)])
