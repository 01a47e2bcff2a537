"""The short runs learn what notebook 05 says, and their errors are measured output by output."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.evaluation.next_patch import errors_by_position
from aimv2_lab.lessons.next_patch import (
    SHORT,
    guess_errors,
    held_out_pictures,
    train_on_noise,
    train_short,
)
from aimv2_lab.lessons.patch_toys import NOISE_FLOOR

PICTURES = held_out_pictures(count=16)


def test_held_out_pictures_are_those_of_the_plan() -> None:
    assert PICTURES.shape == (16, 3, SHORT.encoder.image_size, SHORT.encoder.image_size)
    assert torch.equal(held_out_pictures(count=4), PICTURES[:4])


def test_guesses_need_no_model() -> None:
    grey = torch.zeros(2, 3, 8, 8)
    grey[:, :, :, 4:] = 1.0  # the right half is bright: copying is wrong twice per row of two patches
    assert guess_errors(grey, 4, "raw")["copy the patch before"].tolist() == [1.0, 1.0, 1.0]
    assert guess_errors(grey, 4, "raw")["say zero"].tolist() == [1.0, 0.0, 1.0]
    stripes = torch.randn(1, 3, 4, 1).expand(1, 3, 4, 8).contiguous()
    assert guess_errors(stripes, 4)["copy the patch before"].item() == pytest.approx(0, abs=1e-9)


def test_copying_is_worse_than_nothing_on_standardised_patches_and_better_on_raw_ones() -> None:
    for target, better in (("standardised", False), ("raw", True)):
        copied, zero = (errors.mean() for errors in guess_errors(PICTURES, 12, target).values())  # type: ignore[arg-type]
        assert (copied < zero) == better


def test_a_short_run_beats_saying_zero() -> None:
    run = train_short(steps=40)
    assert len(run.losses) == 40
    zero = guess_errors(PICTURES, 12)["say zero"].mean()
    assert errors_by_position(run.model, PICTURES).mean() < 0.9 * zero


def test_the_slip_goes_below_the_noise_floor_and_the_package_does_not() -> None:
    assert train_on_noise(40).losses[-1] > 0.97 * NOISE_FLOOR
    assert train_on_noise(40, shifted=False).losses[-1] < 0.2 * NOISE_FLOOR
