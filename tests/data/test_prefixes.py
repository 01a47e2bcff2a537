"""Prefix lengths: one for every image, whatever the batch, and other ones on every rank."""

from __future__ import annotations

import torch

from aimv2_lab.data.batches import PairDataset, batches
from aimv2_lab.recipes import recipe
from tests.data.generated import Bytes, ListSource

STEPS, SIZE = 6, 8


def lengths(rank: int = 0, world_size: int = 1) -> torch.Tensor:
    """Prefix lengths (steps, images) of one rank, of pictures with 16 patches."""
    small = recipe("tiny", {"encoder.image_size": 16, "encoder.patch_size": 4})
    dataset = PairDataset(ListSource(200), Bytes(), small, training=True)
    return torch.stack([b.prefix_lengths for b in batches(dataset, SIZE, 0, STEPS, 0, rank, world_size)])


def test_every_image_of_a_batch_has_a_prefix_length_of_its_own() -> None:
    """Eight of fifteen lengths drawn alike: about once in 170 million batches."""
    drawn = lengths()
    assert all(len(step.unique()) > 1 for step in drawn), drawn
    assert len(drawn.unique()) > 10


def test_ranks_draw_prefix_lengths_of_their_own() -> None:
    first, second = lengths(0, 2), lengths(1, 2)
    assert not torch.equal(first, second)
    assert (first == second).float().mean() < 0.4  # by chance 1 of 15 agrees


def test_every_step_draws_new_prefix_lengths() -> None:
    drawn = lengths()
    assert not any(torch.equal(drawn[step], drawn[step + 1]) for step in range(STEPS - 1))
