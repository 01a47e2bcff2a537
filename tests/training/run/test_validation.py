"""Validation uses every held-out pair once at most, whatever the weights of its sources."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from aimv2_lab.data.batches import Batch, PairDataset
from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.model.objective import LossCounts
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.run import validation
from aimv2_lab.training.run.validation import validation_losses
from aimv2_lab.training.step import loss_counts
from tests.data.generated import Bytes, ListSource
from tests.training.toy import SMALL

PLAN = SMALL.change({"decoder.vocabulary": 256, "training.validation_batches": 5})  # of 8


def used(monkeypatch: pytest.MonkeyPatch, run: Path, lengths: dict[str, int], weights: tuple[int, ...]) -> list[str]:
    """The keys of the pairs that validation counts."""
    keys: list[str] = []

    def noted(batch: Batch, recipe: AnyRecipe) -> LossCounts:
        keys.extend(batch.keys)
        return loss_counts(batch, recipe)

    monkeypatch.setattr(validation, "loss_counts", noted)
    sources = [ListSource(length, name=name) for name, length in lengths.items()]
    mixed = MixedSource(sources, weights, tuple(lengths))
    parts = [{"source": name, "weight": weight} for name, weight in zip(lengths, weights, strict=True)]
    plan = PLAN.change({"data.source": "", "data.mixture": parts}) if len(parts) > 1 else PLAN
    engine = LocalEngine(build_model(plan), plan.training, torch.device("cpu"))
    losses = validation_losses(engine, PairDataset(mixed, Bytes(), plan, training=False), plan, run)
    assert losses["total"] > 0
    return keys


@pytest.mark.parametrize(
    ("lengths", "weights", "expected"),
    [
        ({"many": 400, "few": 12}, (1, 1), 24),  # three batches of the five
        ({"many": 400, "few": 3}, (7, 1), 24),
        ({"many": 400, "one": 1}, (1, 9), 0),  # fewer than a batch: one that is smaller
        ({"list": 19}, (1,), 16),
        ({"list": 5}, (1,), 5),
    ],
    ids=str,
)
def test_no_pair_is_used_twice(
    lengths: dict[str, int], weights: tuple[int, ...], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = min(lengths, key=lambda name: lengths[name])
    with pytest.warns(UserWarning, match=f"validation_batches = 5 of 8: among more, pairs of {small} would"):
        keys = used(monkeypatch, tmp_path, lengths, weights)
    assert len(set(keys)) == len(keys) > 0
    assert len(keys) == expected or not expected


def test_enough_pairs_are_used_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(used(monkeypatch, tmp_path, {"many": 400, "few": 20}, (1, 1))) == 40
