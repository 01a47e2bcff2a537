"""The attentive probe finds what one patch among many says, and only if it is there."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.evaluation.features import frozen_features
from aimv2_lab.evaluation.probe import accuracy, train_probe
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import recipe


def features_with_a_clue(seed: int, clue: float) -> tuple[Tensor, Tensor]:
    """Noise (N, 9, 16); one patch, anywhere, carries a marker and the class as directions of strength `clue`."""
    draws = torch.Generator().manual_seed(seed)
    features = torch.randn(600, 9, 16, generator=draws)
    labels = torch.randint(0, 3, (600,), generator=draws)
    places = torch.randint(0, 9, (600,), generator=draws)
    rows = torch.arange(600)
    features[rows, places, labels] += clue
    features[rows, places, 15] += clue
    return features, labels


def test_it_finds_the_patch_that_tells() -> None:
    probe = train_probe(*features_with_a_clue(0, 8.0), classes=3, heads=2, epochs=100, peak_lr=5e-3)
    assert accuracy(probe, *features_with_a_clue(1, 6.0)) > 0.9


def test_without_a_clue_it_stays_at_chance() -> None:
    probe = train_probe(*features_with_a_clue(0, 0.0), classes=3, heads=2)
    assert accuracy(probe, *features_with_a_clue(1, 0.0)) < 0.45


def test_the_seed_decides_and_nothing_else_is_drawn() -> None:
    state = torch.random.get_rng_state()
    first, again = (train_probe(*features_with_a_clue(0, 1.0), classes=3, heads=2, epochs=2) for _ in range(2))
    torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_frozen_features_are_the_encoders_in_any_batch_size() -> None:
    encoder = VisionEncoder(recipe("tiny"))
    images = torch.randn(5, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    features = frozen_features(encoder, images, batch_size=2)
    assert not features.requires_grad
    torch.testing.assert_close(features, encoder(images).detach(), rtol=1e-5, atol=1e-6)
