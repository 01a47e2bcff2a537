"""The encoder beside transformers' published one, on the same wide weights, place by place."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.formats.huggingface import encoder_to_transformers, transformers_config
from aimv2_lab.lessons.bugs.phantoms import CLINIC
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.encoder import VisionEncoder

PARITY_LIMIT = 1e-4  # of the largest value; rounding leaves some 1e-6. Our choice
STATIONS = ("patches", *(f"block {block + 1}" for block in range(CLINIC.encoder.depth)), "features")
BRIGHTNESS = (1.0, 1e-3)


@torch.no_grad()
def parity() -> Tensor:
    """Largest difference, as a share of the largest value (brightness, places): ordinary pictures and very dim ones.

    The patch projection has no bias here, so that a dim picture stays dim up to the norm.
    """
    from transformers import Aimv2VisionConfig, Aimv2VisionModel  # takes seconds, which other examinations need not

    encoder = VisionEncoder(CLINIC).eval()
    draw_wide_weights(encoder, torch.Generator().manual_seed(3))
    assert encoder.patch_projection.bias is not None
    encoder.patch_projection.bias.zero_()
    theirs = Aimv2VisionModel(Aimv2VisionConfig(**transformers_config(CLINIC))).eval()
    theirs.load_state_dict(encoder_to_transformers(encoder))
    side = CLINIC.encoder.image_size
    pictures = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(4))
    return torch.stack([_differences(encoder, theirs, brightness * pictures) for brightness in BRIGHTNESS])


def _differences(encoder: VisionEncoder, theirs: torch.nn.Module, pictures: Tensor) -> Tensor:
    """Relative difference at every place (places,)."""
    said = theirs(pictures, output_hidden_states=True)
    ours = [*encoder.hidden_states(pictures), encoder(pictures)]
    wanted = [*said.hidden_states[: len(ours) - 1], said.last_hidden_state]
    return torch.stack([(a - b).abs().max() / b.abs().max() for a, b in zip(ours, wanted, strict=True)])
