"""The toys' pictures have the floor that is claimed, and their runs repeat, leak or do not."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.lessons.mask_mistakes import transposed
from aimv2_lab.lessons.patch_toys import NOISE_FLOOR, TOY, error_by_attention, noise, repeating, train_toy
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import pixel_errors
from aimv2_lab.model.patches import patchify
from tests.model.tiny import generator

PATCHES, SIZE = TOY.encoder.patches, TOY.encoder.patch_size


def toy_model() -> AIMv2:
    model = AIMv2(TOY)
    draw_wide_weights(model, generator())
    return model.eval()


def test_guessing_nothing_about_noise_costs_the_floor() -> None:
    pictures = noise(64, generator())
    errors = pixel_errors(torch.zeros(64, PATCHES, TOY.encoder.patch_values), pictures, SIZE)
    assert errors.mean().item() == pytest.approx(NOISE_FLOOR, abs=1e-4)


def test_noise_is_independent_between_patches_and_fresh_in_every_draw() -> None:
    draws = generator()
    first, second = patchify(noise(512, draws), SIZE), patchify(noise(512, draws), SIZE)
    assert not torch.equal(first, second)
    alike = torch.corrcoef(first[:, :, 0].T) - torch.eye(PATCHES)
    assert alike.abs().max() < 0.25


def test_patches_of_repeating_pictures_equal_those_four_before_and_no_nearer() -> None:
    patches = patchify(repeating(2, generator()), SIZE)
    assert torch.equal(patches[:, 4:], patches[:, :-4])
    assert not any(torch.equal(patches[:, back:], patches[:, :-back]) for back in (1, 2, 3))


def test_the_right_mask_stays_at_the_floor_and_a_transposed_one_goes_through_it() -> None:
    honest, leaking = train_toy(noise, 60).losses, train_toy(noise, 60, transposed).losses
    assert sum(honest[-10:]) / 10 > NOISE_FLOOR - 0.01
    assert sum(leaking[-10:]) / 10 < NOISE_FLOOR - 0.1


def test_a_run_repeats_with_its_seed_and_disturbs_no_other_draws() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    first = train_toy(noise, 3).losses
    assert torch.equal(torch.rand(1), wanted)
    assert first == train_toy(noise, 3).losses
    assert first != train_toy(noise, 3, seed=1).losses
    first_table, other_table = (train_toy(noise, 1, seed=seed).model.encoder.positions for seed in (0, 1))
    assert first_table is not None and other_table is not None
    assert not torch.allclose(first_table, other_table, atol=0.01)


def test_a_fixed_prefix_length_is_used_for_every_picture() -> None:
    seen: list[torch.Tensor] = []

    def watched(prefix_lengths: torch.Tensor, patches: int) -> torch.Tensor:
        seen.append(prefix_lengths)
        return torch.ones(len(prefix_lengths), 1, patches, patches, dtype=torch.bool)

    train_toy(noise, 1, watched, prefix_length=7)
    assert all((lengths == 7).all() for lengths in seen)
    seen.clear()
    train_toy(noise, 4, watched)
    assert {1, 15} <= set(torch.cat(seen).tolist()) <= set(range(1, 16))


def test_both_attentions_see_the_same_patches_and_neither_the_target() -> None:
    """Later patches may change what output i is compared with, but not what it says."""
    model, pictures = toy_model(), noise(4, generator())
    before = error_by_attention(model, pictures)
    changed = patchify(pictures, SIZE)
    changed[:, 10:] = torch.randn(4, 6, 12, generator=generator(8))
    rows = changed.reshape(4, 4, 4, SIZE, SIZE, 3).permute(0, 5, 1, 3, 2, 4).reshape(4, 3, 8, 8)
    assert torch.equal(patchify(rows, SIZE), changed)
    after = error_by_attention(model, rows)
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one[:9], other[:9], atol=1e-5)  # outputs that predict patches 1 … 9
        assert not torch.isclose(one[9:], other[9:]).any()
    assert not torch.isclose(before[0][1:], before[1][1:]).any()  # and yet the attention differs
    assert torch.isclose(before[0][0], before[1][0])  # but for output 0, which sees one patch
