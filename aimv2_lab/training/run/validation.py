"""The held-out losses of a run: the same pairs, prefixes and normalisers whatever the number of ranks."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor

from aimv2_lab.data.batches import Batch, PairDataset, batches
from aimv2_lab.data.damage import DamageLog, Replacement
from aimv2_lab.model.objective import LossCounts
from aimv2_lab.model.two_towers import ContrastiveLosses, Embeddings, contrastive_losses
from aimv2_lab.recipes import AdditiveRecipe, AnyRecipe, ContrastiveRecipe
from aimv2_lab.training.contrastive import embeddings, joined
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.step import batch_losses, loss_counts, mean_losses


@torch.no_grad()
def validation_losses(engine: Engine, dataset: PairDataset, recipe: AnyRecipe, run: Path) -> dict[str, float]:
    """The losses over the first `validation_batches` batches of the validation split, the same ones every time.

    Fewer, or one smaller one, where more would hold a pair twice. The ranks take micro-batches in turn, and all
    equally many, because under ZeRO stage 3 a forward pass needs all of them: some pass through what no longer counts.
    Damaged pairs are replaced as in training, and listed in the run folder's damage_validation.jsonl. What cannot be
    read on one rank is raised on all, as `Ranks.together` does.
    """
    ranks, micro = engine.ranks, recipe.training.micro_batch_size
    pairs = _validation_pairs(dataset, recipe, ranks.is_first)
    rounds = -(-pairs // (micro * ranks.size))
    found = _Embedded(engine, recipe) if isinstance(recipe, ContrastiveRecipe) else _Summed(engine, recipe)
    replaced = list[Replacement]()
    engine.model.eval()
    workers, pinned = recipe.data.workers, engine.device.type == "cuda"
    parts = batches(dataset, micro * ranks.size, 0, rounds, workers, ranks.rank, ranks.size, pinned=pinned)
    for number in range(rounds):
        batch = ranks.together(partial(next, parts))
        counted = min(max(pairs - (number * ranks.size + ranks.rank) * micro, 0), micro)
        part = batch.rows(torch.arange(counted)) if counted else batch
        found.add(part.to(engine.device), counts=counted > 0)
        replaced += batch.replaced if counted else ()
    engine.model.train()
    damaged = [one for one in ranks.joined(replaced) if one.position < pairs]
    ranks.on_first(partial(_record, damaged, dataset, recipe, run, pairs))
    return found.means()


class _Summed:
    """Losses that are sums over pairs."""

    def __init__(self, engine: Engine, recipe: AdditiveRecipe) -> None:
        self.engine, self.recipe = engine, recipe
        self.sums, self.counts = torch.zeros((), dtype=torch.float64), LossCounts(0, 0, 0)

    def add(self, part: Batch, counts: bool) -> None:
        """Pass a micro-batch through the model, and add up its losses where it counts."""
        shares = torch.stack(batch_losses(self.engine, part, LossCounts(1, 1, 1), self.recipe)).double().cpu()
        self.sums = self.sums + (shares if counts else torch.zeros_like(shares))
        if counts:
            self.counts = LossCounts(*map(operator.add, self.counts, loss_counts(part, self.recipe)))

    def means(self) -> dict[str, float]:
        """The losses of all ranks, by name."""
        ranks = self.engine.ranks
        counts = LossCounts(*ranks.count(*self.counts))
        return mean_losses(ranks.sum(*self.sums.tolist()), counts, self.recipe)


class _Embedded:
    """Contrastive losses: of batches as large as in training, each held against itself, in the order of the pairs."""

    def __init__(self, engine: Engine, recipe: ContrastiveRecipe) -> None:
        self.engine, self.recipe = engine, recipe
        self.said: list[Embeddings] = []

    def add(self, part: Batch, counts: bool) -> None:
        """Pass a micro-batch through the towers, and keep what they say where it counts."""
        found = embeddings(self.engine, part)
        self.said += [Embeddings._make(value.cpu() for value in found)] if counts else []

    def means(self) -> dict[str, float]:
        """The losses of all ranks, by name, on the first rank; a smaller last batch is left out, unless it is alone."""
        of_ranks = self.engine.ranks.to_first(self.said)
        if of_ranks is None:
            return {}
        said = joined([found for turn in zip_longest(*of_ranks) for found in turn if found is not None])
        size = min(self.recipe.training.batch_size, len(said.images))
        parts = zip(said.images.split(size), said.texts.split(size), strict=True)
        whole = [Embeddings(i, t, said.scale, said.bias) for i, t in parts if len(i) == size]
        losses = [self._losses(Embeddings._make(value.to(self.engine.device) for value in batch)) for batch in whole]
        means = torch.stack(losses).mean(dim=0).tolist()
        return dict(zip(ContrastiveLosses._fields, means, strict=True))

    def _losses(self, batch: Embeddings) -> Tensor:
        """A batch's losses, a micro-batch of rows at a time: the matrix of all pairs would be large."""
        sums = torch.zeros(len(ContrastiveLosses._fields), dtype=torch.float64)
        for first in range(0, len(batch.images), self.recipe.training.micro_batch_size):
            rows = slice(first, first + self.recipe.training.micro_batch_size)
            part = batch._replace(images=batch.images[rows], texts=batch.texts[rows])
            found = contrastive_losses(part, batch.images, batch.texts, first, self.recipe.loss)
            sums += torch.stack(found).double().cpu()
        return sums


def _record(found: Sequence[Replacement], dataset: PairDataset, recipe: AnyRecipe, run: Path, pairs: int) -> None:
    damage = DamageLog(run, recipe.data.damage_limit, "damage_validation.jsonl")
    damage.record(found, dataset.samples_by_source(pairs))


def _validation_pairs(dataset: PairDataset, recipe: AnyRecipe, told: bool) -> int:
    """How many pairs a validation takes: fewer, or one smaller batch, where more would hold a pair twice.

    Warns of that where `told`, which is on one rank.
    """
    training, pairs = recipe.training, dataset.order.before_repeats()
    size = min(training.batch_size, pairs)
    taken = size * min(training.validation_batches, pairs // size)
    if told and taken < training.batch_size * training.validation_batches:
        first_used_up = dataset.source.names[dataset.order.place(pairs).source]
        warnings.warn(
            f"validation uses {taken} pairs, not training.validation_batches = {training.validation_batches} of "
            f"{training.batch_size}: among more, pairs of {first_used_up} would be there twice",
            stacklevel=3,
        )
    return taken
