"""Labelled scenes of the generated world in memory, and probes of them in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor

from aimv2_lab.data.world import render
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.evaluation.neighbours import neighbours_class
from aimv2_lab.evaluation.probe import AttentiveProbe
from aimv2_lab.evaluation.probing.cache import CachedFeatures
from aimv2_lab.evaluation.probing.epochs import CachedEpochs
from aimv2_lab.evaluation.probing.grid import ProbeGrid
from aimv2_lab.evaluation.probing.opening import HELD_OUT, SEEN, open_factors
from aimv2_lab.evaluation.probing.pictures import LabelledPictures, seen_batches
from aimv2_lab.evaluation.probing.scores import scores
from aimv2_lab.evaluation.probing.training import grid_predictions, new_grid, train_grid
from aimv2_lab.formats.load import load_preprocessing
from aimv2_lab.lessons.trained import TRAINED
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes.probing import ProbeKind, ProbeRecipe

# A few hundred steps in place of Table A2's thousands, so at higher rates. All of it is our choice.
SHORT_PROBE = ProbeRecipe(
    learning_rates=(2e-3, 5e-3, 1e-2), weight_decays=(0.05,), epochs=15, batch_size=64, selection_share=0.15
)
PROBE_HEADS = 4  # the trained encoder's own number, as AIM v1's probe has its trunk's


class Labelled(NamedTuple):
    """Pictures (N, 3, size, size) uint8; by the name of a factor the labels (N,), and the names of its classes."""

    pictures: Tensor
    labels: dict[str, Tensor]
    classes: dict[str, tuple[str, ...]]


class Scenes(NamedTuple):
    """Scenes to train a probe on, to choose a cell by, and to test on; those of combinations never shown apart."""

    train: Labelled
    choice: Labelled
    test: Labelled
    unseen: Labelled


def untrained_like(encoder: VisionEncoder, seed: int = 0) -> VisionEncoder:
    """An encoder of the same recipe with the weights that its training might have begun with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VisionEncoder(encoder.recipe).eval()


def labelled_scenes(world: str, train: int, choice: int, test: int, unseen: int) -> Scenes:
    """The first scenes of the world's training split, validation split, and split of unseen combinations."""
    probed = open_factors(world, load_preprocessing(TRAINED))
    fitted = _labelled(probed.train, range(train))
    return Scenes(
        fitted,
        _labelled(probed.train, range(train, train + choice)),
        _labelled(probed.tests[SEEN], range(test)),
        _labelled(probed.tests[HELD_OUT], range(unseen)),
    )


def _labelled(pictures: LabelledPictures, rows: range) -> Labelled:
    (batch,) = seen_batches(pictures, [np.arange(rows.start, rows.stop)], workers=0)
    assert isinstance(batch.pictures, Tensor)  # the trained encoder's have one size
    tasks = pictures.labels.tasks
    labels = {task.name: column for task, column in zip(tasks, batch.labels.T, strict=True)}
    return Labelled(batch.pictures, labels, {task.name: task.classes for task in tasks})


def trained_grid(features: Tensor, labels: Tensor, recipe: ProbeRecipe, heads: int, seed: int = 0) -> ProbeGrid:
    """All cells of the recipe, trained together on features (N, I, D), or (N, D) for linear probes, and labels (N,)."""
    cached = CachedFeatures(features.numpy(), labels[:, None], ())
    epochs = CachedEpochs(cached, recipe, seed, features.device)
    grid = new_grid(recipe, features.shape[-1], heads, [int(labels.max()) + 1], seed)
    return train_grid(grid, recipe, epochs.steps, epochs)


def probe_score(
    scenes: Scenes, features: Mapping[str, Tensor], factor: str, kind: ProbeKind = "attentive", test: str = "test"
) -> float:
    """The share of `test` pictures a probe gets right: its best cell on `choice`, trained on `train`.

    `features` has, by those names, what the probe reads: (N, I, D), averaged over patches for all but attentive
    probes, or (N, D). Neighbours choose nothing.
    """
    if kind != "attentive":
        features = {part: found.mean(dim=1) if found.ndim == 3 else found for part, found in features.items()}
    labels = {part: found.labels[factor] for part, found in scenes._asdict().items()}
    if kind == "neighbours":
        predicted = neighbours_class(features["train"], labels["train"], features[test])
        return scores(predicted[None], labels[test])["top1"].item()
    grid = trained_grid(features["train"], labels["train"], replace(SHORT_PROBE, kind=kind), PROBE_HEADS)
    right = {part: scores(grid_predictions(grid, [features[part]]), labels[part])["top1"] for part in ("choice", test)}
    return right[test][right["choice"].argmax()].item()


def probe_of_cell(grid: ProbeGrid, cell: int) -> AttentiveProbe:
    """One cell of a grid of attentive probes, as a probe of its own."""
    classes, width = grid.weights["classifier_weight"].shape[1:]
    probe = AttentiveProbe(width, grid.heads, classes, bias="classifier_bias" in grid.weights)
    own = {name: grid.weights[name.replace(".", "_")][cell].detach() for name, _ in probe.named_parameters()}
    probe.load_state_dict({**own, **{f"norm.{name}": value for name, value in grid.norm.state_dict().items()}})
    return probe.eval()


@torch.no_grad()
def pooling_weights(probe: AttentiveProbe, features: Tensor) -> Tensor:
    """How much every head of a probe's query takes from every patch (B, H, I); rows sum to 1."""
    pooling = probe.pooling
    normed = probe.norm(features.flatten(0, 1)).view_as(features)
    keys, _ = rearrange(pooling.keys_values(normed), "b i (two h d) -> two b h i d", two=2, h=pooling.heads)
    query = rearrange(pooling.query, "(h d) -> h d 1", h=pooling.heads)
    return ((keys @ query)[..., 0] / query.shape[1] ** 0.5).softmax(dim=-1)


def touched_by_the_largest(world: WorldSource, count: int, patch_size: int) -> Tensor:
    """Which patches (count, I) of the first scenes look otherwise when the largest object is taken away."""
    touched = []
    for scene in map(world.scene, range(count)):
        without = replace(scene, objects=tuple(thing for thing in scene.objects if thing is not scene.largest))
        changed = torch.from_numpy(render(scene, world.size) != render(without, world.size))
        touched.append(reduce(changed, "(r p) (c q) rgb -> (r c)", "max", p=patch_size, q=patch_size))
    return torch.stack(touched)
