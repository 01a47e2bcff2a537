"""A whole probing: features of all pictures, the grid of probes, the best of it by held-out pictures, its scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aimv2_lab.evaluation.neighbours import neighbours_class
from aimv2_lab.evaluation.padded import Padded
from aimv2_lab.evaluation.probing.cache import CachedFeatures, FeatureType, cache_name, cached_features
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.epochs import AugmentedEpochs, CachedEpochs
from aimv2_lab.evaluation.probing.parts import split_off
from aimv2_lab.evaluation.probing.pictures import LabelledPictures
from aimv2_lab.evaluation.probing.results import Choice, ProbeScores, TaskScores
from aimv2_lab.evaluation.probing.scores import Metric, scores
from aimv2_lab.evaluation.probing.training import UNLABELLED, grid_predictions, new_grid, train_grid
from aimv2_lab.recipes.probing import ProbeRecipe
from aimv2_lab.training.ranks import ALONE, Ranks

Parts = Mapping[str, CachedFeatures]


@dataclass(frozen=True)
class Storing:
    """Where features are kept, how pictures are loaded and by which ranks; only rounding to `dtype` changes a score."""

    folder: Path
    workers: int = 0
    encoder_batch: int = 64
    dtype: FeatureType = "float16"
    damage_limit: float = 0.01
    ranks: Ranks = ALONE

    def features(self, frozen: Frozen, pictures: LabelledPictures) -> CachedFeatures:
        """The features of all pictures, from a folder of their own; computed where they are not there."""
        folder = self.folder / cache_name(frozen, pictures)
        loading = (self.encoder_batch, self.workers, self.dtype, self.damage_limit, self.ranks)
        return cached_features(folder, frozen, pictures, *loading)


def probe_encoder(
    frozen: Frozen,
    train: LabelledPictures,
    tests: Mapping[str, LabelledPictures],
    recipe: ProbeRecipe,
    storing: Storing,
    seeds: Sequence[int] = (0,),
    metric: Metric = "top1",
) -> ProbeScores:
    """Probe frozen features on every task of the pictures' labels; called by all of `storing.ranks`.

    Several ranks encode together, and each trains the same probes.

    Seeds draw the probes' first weights, the order of the pictures and their augmentation; the held-out part of the
    training pictures is the same for all. `metric` is what the best cell is chosen by. Neighbours have no seed and
    hold nothing out. Raises what `cached_features`, `split_off` and `AugmentedEpochs` do, RankFailed where one of
    several ranks fails, and ValueError for augmented pictures that keep their own sizes.
    """
    if recipe.augmented and train.preprocessing.crop is None:
        storing.ranks.fail(
            ValueError(
                "augmented = True: crops of pictures are resized to one size, and these keep their own. Name one with "
                "--image-size, or choose a probe of features computed once (attentive, linear, neighbours)"
            )
        )
    tasks = train.labels.tasks
    tested = {name: storing.features(frozen, pictures) for name, pictures in tests.items()}
    if recipe.kind == "neighbours":
        known = storing.features(frozen, train)
        choices = [[_vote(known, tested, number, recipe, frozen.device)] for number in range(len(tasks))]
        return _together(train, choices, {"train": known}, tested)
    fitted, selection = storing.ranks.together(lambda: split_off(train, recipe.selection_share))
    parts = {"held out": storing.features(frozen, selection)}
    if not recipe.augmented:
        parts["train"] = storing.features(frozen, fitted)
    by_seed = []
    for seed in seeds:
        epochs = (
            AugmentedEpochs(frozen, fitted, recipe, seed, storing.workers, storing.damage_limit, storing.ranks)
            if recipe.augmented
            else CachedEpochs(parts["train"], recipe, seed, frozen.device)
        )
        by_seed.append(
            _choices(epochs, parts["held out"], tested, [len(task.classes) for task in tasks], frozen, metric)
        )
    return _together(train, [list(of_task) for of_task in zip(*by_seed, strict=True)], parts, tested)


def _choices(
    epochs: AugmentedEpochs | CachedEpochs,
    held_out: CachedFeatures,
    tested: Parts,
    class_counts: Sequence[int],
    frozen: Frozen,
    metric: Metric,
) -> list[Choice]:
    """Train the grid of one seed, and choose for every task the cell that is best on the held-out pictures."""
    recipe, width = epochs.recipe, held_out.features.shape[-1]
    grid = new_grid(recipe, width, frozen.encoder.recipe.heads, class_counts, epochs.seed).to(frozen.device)
    train_grid(grid, recipe, epochs.steps, epochs)
    every = {"": held_out, **tested}
    said = {
        name: grid_predictions(grid, _in_order(part, recipe.batch_size, frozen.device)) for name, part in every.items()
    }
    choices = []
    for number in range(len(class_counts)):
        first = number * len(recipe.cells)
        of_task = {name: found[first : first + len(recipe.cells)] for name, found in said.items()}
        selected = scores(of_task.pop(""), held_out.labels[:, number])[metric]
        best = int(selected.argmax())
        predicted = {name: found[best] for name, found in of_task.items()}
        choices.append(Choice(predicted, recipe.cells[best], tuple(selected.tolist())))
    return choices


def _vote(known: CachedFeatures, tested: Parts, number: int, recipe: ProbeRecipe, device: torch.device) -> Choice:
    """What the nearest training pictures say of a task; those without a label of it have no vote."""
    counted = known.labels[:, number] != UNLABELLED
    labels = known.labels[counted, number].to(device)
    features = _vectors(known, counted.nonzero()[:, 0].numpy(), device)
    predicted = {
        name: neighbours_class(features, labels, _vectors(test, np.arange(len(test)), device), recipe.neighbours).cpu()
        for name, test in tested.items()
    }
    return Choice(predicted)


def _vectors(pooled: CachedFeatures, rows: np.ndarray, device: torch.device) -> Tensor:
    """One vector (B, D) of each picture."""
    found = pooled.rows(rows, device)
    if isinstance(found, Padded):
        raise ValueError("neighbours are told by one vector of each picture: make Frozen with pooled=True")
    return found


def _in_order(cached: CachedFeatures, batch_size: int, device: torch.device) -> Iterator[Tensor | Padded]:
    for start in range(0, len(cached), batch_size):
        yield cached.rows(np.arange(start, min(start + batch_size, len(cached))), device)


def _together(train: LabelledPictures, choices: Sequence[Sequence[Choice]], parts: Parts, tested: Parts) -> ProbeScores:
    """The scores of all tasks, from every task's choice of every seed."""
    tasks = tuple(
        TaskScores.of(task, number, choices[number], tested) for number, task in enumerate(train.labels.tasks)
    )
    every = {**parts, **tested}
    damaged = {name: cached.damaged for name, cached in every.items() if cached.damaged}
    return ProbeScores(tasks, {name: len(cached) for name, cached in every.items()}, damaged)
