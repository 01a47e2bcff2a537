"""What a probe is trained on, epoch by epoch: cached features, or pictures augmented and encoded anew."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from aimv2_lab.evaluation.probing.cache import CachedFeatures, check_damage
from aimv2_lab.evaluation.probing.encoded import encoded_batches
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.pictures import AugmentedPictures, LabelledPictures
from aimv2_lab.evaluation.probing.training import Batches
from aimv2_lab.recipes.probing import ProbeRecipe
from aimv2_lab.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class CachedEpochs:
    """Batches of cached features, drawn anew in every epoch; a last one that is not full is left to later epochs."""

    cached: CachedFeatures
    recipe: ProbeRecipe
    seed: int
    device: torch.device

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return max(len(self.cached) // self.recipe.batch_size, 1)

    def __call__(self, epoch: int) -> Batches:
        """The batches of an epoch."""
        for rows in epoch_batches(len(self.cached), self.recipe.batch_size, self.seed, epoch):
            ascending = np.sort(rows)  # what the disk likes; a sum does not mind
            yield self.cached.rows(ascending, self.device), self.cached.labels[ascending].to(self.device)


@dataclass(frozen=True)
class AugmentedEpochs:
    """Batches of pictures that are augmented and encoded anew in every epoch: one forward pass for all cells.

    Every one of several ranks encodes its share of a batch and gets the whole: the batch norm, the gradients and the
    order are those of one process, and each rank trains the same grid.
    """

    frozen: Frozen
    pictures: LabelledPictures
    recipe: ProbeRecipe
    seed: int
    workers: int
    damage_limit: float
    ranks: Ranks = ALONE

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return max(len(self.pictures) // self.recipe.batch_size, 1)

    def __call__(self, epoch: int) -> Batches:
        """The batches of an epoch, without damaged pictures; called by all ranks.

        Raises TooMuchDamage as `cached_features` does, ValueError where a whole batch is damaged, and what
        `encoded_batches` does.
        """
        seen = AugmentedPictures(self.pictures, self.recipe.augmentation, self.seed, epoch)
        batches = epoch_batches(len(self.pictures), self.recipe.batch_size, self.seed, epoch)
        name, damaged = self.pictures.source.name, list[str]()
        for batch in encoded_batches(self.frozen, seen, batches, self.workers, self.ranks):
            damaged += batch.damaged
            if batch.damaged:
                self.ranks.together(partial(check_damage, damaged, len(self.pictures), name, self.damage_limit))
            if not len(batch.labels):
                self.ranks.fail(ValueError(f"{name}: a whole batch cannot be used: {batch.damaged[0]}"))
            yield batch.features, batch.labels.to(self.frozen.device)


def epoch_batches(pictures: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The pictures of every full batch of an epoch, shuffled by (seed, epoch); all in one where they fill none."""
    draws = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))
    shuffled = draws.permutation(pictures)
    full = pictures // batch_size
    return [shuffled] if not full else list(shuffled[: full * batch_size].reshape(full, batch_size))
