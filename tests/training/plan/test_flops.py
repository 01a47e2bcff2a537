"""The arithmetic of a picture is torch's own count, and its sums are those of the roofline."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aimv2_lab.model.models import model_of
from aimv2_lab.recipes import PretrainingRecipe, recipe
from aimv2_lab.training.plan.flops import flops_utilisation, picture_flops

# GFLOP forward per image: encoder, its attention, decoder, its attention, text head, pixels and projections, all of it;
# by an independent script of arithmetic, with 256 patches, 77 tokens and 32,000 words.
ROOFLINE = {
    "large": (157.8, 6.4, 102.7, 2.7, 5.05, 1.2, 275.9),
    "huge": (347.9, 9.7, 102.7, 2.7, 5.05, 1.6, 469.6),
    "1b": (631.4, 12.9, 102.7, 2.7, 5.05, 2.0, 756.7),
    "3b": (1391.6, 19.3, 102.7, 2.7, 5.05, 2.8, 1524),
}


@pytest.mark.parametrize("size", ROOFLINE)
def test_the_published_sizes_cost_what_the_roofline_says(size: str) -> None:
    flops = picture_flops(recipe(f"aimv2-{size}-224"))
    assert [part / 1e9 for part in (*flops[:6], flops.forward)] == pytest.approx(ROOFLINE[size], rel=5e-3, abs=0.06)
    assert flops.step == 3 * flops.forward


def test_utilisation_is_of_the_peak() -> None:
    """478, 598 and 717 images/s are utilisations of 0.4, 0.5 and 0.6 of 989 TFLOP/s."""
    large = recipe("aimv2-large-224")
    shares = [flops_utilisation(large, rate, 989e12) for rate in (478, 598, 717)]
    assert shares == pytest.approx([0.4, 0.5, 0.6], rel=2e-3)


@pytest.mark.parametrize("name", ["tiny", "small", "aim-tiny", "aim-600m", "aimv2-large-224"])
@pytest.mark.parametrize("tokens", [None, 3])
def test_torch_counts_the_same_but_for_the_half_of_causal_attention(name: str, tokens: int | None) -> None:
    known: PretrainingRecipe = recipe(name)
    text = min(known.text_tokens, known.text_tokens if tokens is None else tokens)
    size = known.encoder.image_size
    with torch.device("meta"):
        model, images, words = model_of(known), torch.empty(1, 3, size, size), torch.empty(1, text, dtype=torch.long)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(images, words)
    flops = picture_flops(known, text)
    assert counter.get_total_flops() == flops.forward + flops.decoder_attention


def test_a_head_of_depth_zero_is_one_matrix() -> None:
    known = recipe("aim-tiny", {"head.depth": 0})
    flops = picture_flops(known)
    assert flops.decoder == 0
    assert flops.pixels == 2 * 2 * known.encoder.patches * known.encoder.patch_values * known.encoder.width
