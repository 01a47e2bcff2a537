"""The loss map agrees with the objective, and knows what a patch shows."""

from __future__ import annotations

import torch

from aimv2_lab.data.world.render import masks
from aimv2_lab.data.world.source import open_world
from aimv2_lab.lessons.loss_map import KINDS, counted_mean, errors_by_prefix, patch_kinds
from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.objective import LossCounts, losses
from tests.model.tiny import PATCHES, images, wide_model

PICTURES = images(3)


def test_the_rows_are_the_errors_that_the_objective_averages() -> None:
    model = wide_model()
    errors = errors_by_prefix(model, PICTURES)
    assert errors.shape == (3, PATCHES - 1, PATCHES - 1)
    no_text = torch.empty(3, 0, dtype=torch.long)
    for length in (1, 4, PATCHES - 1):
        lengths = torch.full((3,), length)
        with torch.no_grad():
            said: Predictions = model(PICTURES, no_text, lengths)
        counts = LossCounts(3 * (PATCHES - length), 0)
        expected = losses(said, PICTURES, no_text, no_text.bool(), lengths, counts, 0.4, 2).pixel
        torch.testing.assert_close(errors[:, length - 1, length - 1 :].mean(), expected.to(errors.dtype))


def test_an_output_is_averaged_over_the_lengths_under_which_it_counts() -> None:
    lengths, outputs = torch.arange(1, 5)[:, None], torch.arange(4)
    errors = torch.where(outputs >= lengths - 1, lengths.double(), 1000.0)[None]
    assert counted_mean(errors).tolist() == [[1.0, 1.5, 2.0, 2.5]]  # output i counts for M = 1 … i + 1


def test_a_patch_is_ground_beginning_or_continuation_of_an_object() -> None:
    source, size = open_world("world:easy", "validation", size=48), 12
    kinds = patch_kinds(source, range(6), 48, size)
    assert kinds.shape == (6, 15)
    for scene, row in enumerate(kinds.tolist()):
        begun: set[int] = set()
        for patch in range(16):
            rows, columns = (slice(size * place, size * (place + 1)) for place in divmod(patch, 4))
            pixels = torch.tensor(masks(source.scene(scene), 48, visible=True)[:, rows, columns])
            held = pixels.flatten(1).any(dim=1).tolist()
            here = {number for number, holds in enumerate(held) if holds}
            expected = "an object begins" if here - begun else "an object goes on" if here else "ground"
            begun |= here
            assert patch == 0 or KINDS[row[patch - 1]] == expected
