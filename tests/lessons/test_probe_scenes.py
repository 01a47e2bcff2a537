"""Scenes carry their own labels, probes in memory are the package's, and what a query takes is what it pools."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from einops import rearrange

from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.evaluation.probing.training import grid_predictions
from aimv2_lab.formats.load import load_encoder
from aimv2_lab.lessons.probe_scenes import (
    SHORT_PROBE,
    Labelled,
    Scenes,
    labelled_scenes,
    pooling_weights,
    probe_of_cell,
    probe_score,
    touched_by_the_largest,
    trained_grid,
    untrained_like,
)
from aimv2_lab.lessons.trained import TRAINED

SHAPE = "large object, shape"
DRAWS = torch.Generator().manual_seed(0)
# The class is what patch 0 says, whose first number is high; patch 1, where it is low, says another class.
LABELS = torch.arange(1600) % 3
FEATURES = torch.randn(1600, 5, 8, generator=DRAWS)
FEATURES[:, 0, 0] += 4.0
FEATURES[:, 1, 0] -= 4.0
FEATURES[torch.arange(1600), 0, 1 + LABELS] += 4.0
FEATURES[torch.arange(1600), 1, 1 + (LABELS + torch.randint(1, 3, (1600,), generator=DRAWS)) % 3] += 4.0
QUICK = replace(SHORT_PROBE, learning_rates=(1e-2, 3e-2), epochs=4, batch_size=64)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return labelled_scenes("world:easy", train=6, choice=4, test=5, unseen=3)


def test_scenes_have_their_own_labels_and_no_scene_chooses_that_trains(scenes: Scenes) -> None:
    for part, split, first in (("train", "train", 0), ("choice", "train", 6), ("test", "validation", 0)):
        found = getattr(scenes, part)
        source = WorldSource("easy", split)
        true = [source.scene(first + row).largest.shape for row in range(len(found.pictures))]
        assert [found.classes[SHAPE][label] for label in found.labels[SHAPE]] == true
    assert [len(part.pictures) for part in scenes] == [6, 4, 5, 3]


def test_touched_patches_hold_the_object_and_are_near_it() -> None:
    world = WorldSource("easy", "validation")
    touched = touched_by_the_largest(world, 20, patch_size=12)
    for index, found in enumerate(touched):
        thing = world.scene(index).largest
        assert found[4 * int(4 * thing.y) + int(4 * thing.x)] and not found.all()
        for patch in found.nonzero()[:, 0].tolist():
            row, column = divmod(patch, 4)
            assert abs((column + 0.5) / 4 - thing.x) < 0.45 and abs((row + 0.5) / 4 - thing.y) < 0.45


def test_an_untrained_encoder_has_the_sizes_and_not_the_weights() -> None:
    trained = load_encoder(TRAINED)
    untrained = untrained_like(trained)
    assert untrained.recipe == trained.recipe and not untrained.training
    assert torch.equal(untrained.patch_projection.weight, untrained_like(trained).patch_projection.weight)
    assert not torch.allclose(untrained.patch_projection.weight, trained.patch_projection.weight)


def test_a_cell_alone_says_what_the_grid_says_and_its_weights_pool() -> None:
    grid = trained_grid(FEATURES, LABELS, QUICK, heads=2)
    for cell in range(grid.cells):
        probe = probe_of_cell(grid, cell)
        torch.testing.assert_close(probe(FEATURES), grid(FEATURES)[cell], rtol=1e-4, atol=1e-4)
        weights = pooling_weights(probe, FEATURES)
        assert weights.shape == (1600, 2, 5)
        normed = probe.norm(FEATURES.flatten(0, 1)).view_as(FEATURES)
        values = rearrange(probe.pooling.keys_values(normed)[..., 8:], "b i (h d) -> b h i d", h=2)
        mixed = rearrange((weights[..., None, :] @ values)[..., 0, :], "b h d -> b (h d)")
        torch.testing.assert_close(probe.classifier(mixed), probe(FEATURES), rtol=1e-4, atol=1e-4)
    right = (grid_predictions(grid, [FEATURES]) == LABELS).float().mean(1)
    assert right.max() > 0.9


def test_a_score_is_of_the_part_that_was_asked_for() -> None:
    cut = {"train": slice(0, 1000), "choice": slice(1000, 1200), "test": slice(1200, 1400), "unseen": slice(1400, 1600)}
    parts = {part: (FEATURES[rows], LABELS[rows]) for part, rows in cut.items()}
    parts["unseen"] = (parts["unseen"][0], (parts["unseen"][1] + 1) % 3)
    made = Scenes(**{name: _labelled(labels) for name, (_, labels) in parts.items()})
    features = {name: found for name, (found, _) in parts.items()}
    assert probe_score(made, features, SHAPE) > 0.8
    assert probe_score(made, features, SHAPE, test="unseen") < 0.2  # whose labels are shifted
    assert probe_score(made, features, SHAPE, "neighbours") < 0.75  # the mean forgets which patch said it
    flat = {name: found.flatten(1) for name, found in features.items()}
    assert probe_score(made, flat, SHAPE, "linear") > probe_score(made, features, SHAPE, "linear") + 0.2


def _labelled(labels: torch.Tensor) -> Labelled:
    return Labelled(torch.empty(0), {SHAPE: labels}, {})
