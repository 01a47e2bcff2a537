"""The held-out losses of a run: the same pairs, prefixes and normalisers whatever the number of ranks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from aimv2_lab.data.batches import PairDataset, batches
from aimv2_lab.data.damage import DamageLog, Replacement
from aimv2_lab.model.objective import LossCounts
from aimv2_lab.recipes import AnyRecipe
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
    sums, patches, tokens, replaced = torch.zeros((), dtype=torch.float64), 0, 0, list[Replacement]()
    engine.model.eval()
    parts = batches(dataset, micro * ranks.size, 0, rounds, recipe.data.workers, ranks.rank, ranks.size)
    for number in range(rounds):
        batch = ranks.together(partial(next, parts))
        counted = min(max(pairs - (number * ranks.size + ranks.rank) * micro, 0), micro)
        part = batch.rows(torch.arange(counted)) if counted else batch
        shares = torch.stack(batch_losses(engine, part.to(engine.device), LossCounts(1, 1), recipe)).double().cpu()
        sums = sums + (shares if counted else torch.zeros_like(shares))
        if counted:
            counts = loss_counts(part, recipe)
            patches, tokens = patches + counts.patches, tokens + counts.tokens
            replaced += batch.replaced
    engine.model.train()
    patches, tokens = ranks.count(patches, tokens)
    found = [one for one in ranks.joined(replaced) if one.position < pairs]
    ranks.on_first(partial(_record, found, dataset, recipe, run, pairs))
    return mean_losses(ranks.sum(*sums.tolist()), LossCounts(patches, tokens), recipe)


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
