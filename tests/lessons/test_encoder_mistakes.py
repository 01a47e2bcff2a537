"""Wide weights make every planted mistake visible; weights as initialised hide one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.lessons.encoder_mistakes import MISTAKES, with_mistake
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe

TOY = EncoderRecipe(image_size=56, width=32, depth=2, heads=2, hidden=48)
IMAGES = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))


def encoder(wide: bool) -> VisionEncoder:
    torch.manual_seed(0)
    made = VisionEncoder(TOY).eval()
    if wide:
        draw_wide_weights(made, torch.Generator().manual_seed(0))
    return made


@torch.no_grad()
def change(right: VisionEncoder, mistake: str, images: Tensor = IMAGES) -> float:
    """Largest change of the output by the mistake, as a fraction of the largest value."""
    wanted = right(images)
    return ((with_mistake(right, mistake)(images) - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.parametrize("mistake", [name for name in MISTAKES if not name.startswith("eps")])
def test_wide_weights_show_the_mistake(mistake: str) -> None:
    assert change(encoder(wide=True), mistake) > 0.1


def test_initial_weights_hide_swapped_norms() -> None:
    assert change(encoder(wide=False), "norms swapped") == 0


def test_a_wrong_eps_shows_with_tiny_inputs_only() -> None:
    wide = encoder(wide=True)
    with torch.no_grad():
        wide.patch_projection.bias.zero_()  # type: ignore[union-attr]
    assert change(wide, "eps 1e-6 for 1e-5") < 1e-3
    assert change(wide, "eps 1e-6 for 1e-5", 1e-3 * IMAGES) > 0.1


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_encoder_itself_stays_right(mistake: str) -> None:
    wide = encoder(wide=True)
    before = wide(IMAGES)
    with_mistake(wide, mistake)
    assert torch.equal(wide(IMAGES), before)
    assert not torch.equal(with_mistake(wide, mistake)(IMAGES), before)


def test_wide_weights_are_spread_by_kind_and_repeat_with_the_seed() -> None:
    drawn = [VisionEncoder(TOY) for _ in range(2)]
    for module in drawn:
        draw_wide_weights(module, torch.Generator().manual_seed(0))
    first, second = (dict(module.named_parameters()) for module in drawn)
    assert all(torch.equal(first[name], second[name]) for name in first)
    norms = torch.cat([first[name] for name in first if "norm" in name])
    assert norms.mean().item() == pytest.approx(1, abs=0.1) and norms.std().item() == pytest.approx(0.3, abs=0.1)
    assert first["patch_projection.bias"].std().item() == pytest.approx(0.2, abs=0.1)
    assert first["positions"].std().item() == pytest.approx(0.5, abs=0.1)
    for name in ("blocks.0.attention.qkv.weight", "blocks.1.feed_forward.down.weight", "patch_projection.weight"):
        fan_in = first[name][0].numel()
        assert first[name].std().item() * fan_in**0.5 == pytest.approx(1.5, rel=0.1)
