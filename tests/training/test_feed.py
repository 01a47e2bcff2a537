"""Batches come on the engine's device, and what they take, sending included, is waiting for data."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from aimv2_lab.data.batch import Batch
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.feed import Feed
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.step import loss_counts
from tests.training.toy import SMALL, random_batch

PAUSE = 0.05


def feed(batches: Iterator[Batch], device: str) -> Feed:
    engine = LocalEngine(build_model(SMALL), SMALL.training, torch.device("cpu"))
    engine.device = torch.device(device)
    return Feed(batches, engine, SMALL, told_to_stop=lambda: False)


def test_a_batch_is_handed_out_on_the_device_with_what_counts_of_it() -> None:
    """Counted before it is sent: the meta device has no values left to count."""
    batch = random_batch(0)
    fed = feed(iter([batch]), "meta").next()
    assert fed is not None and fed.counts == loss_counts(batch, SMALL)
    assert {tensor.device.type for tensor in (fed.batch.pictures, fed.batch.tokens)} == {"meta"}


def test_reading_and_sending_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly() -> Iterator[Batch]:
        time.sleep(PAUSE)
        yield random_batch(0)

    def sent(batch: Batch, _device: torch.device) -> Batch:
        time.sleep(PAUSE)
        return batch

    monkeypatch.setattr(Batch, "to", sent)
    fed = feed(slowly(), "cpu")
    fed.next()
    assert fed.waited >= 2 * PAUSE


def test_what_cannot_be_sent_is_told_like_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the ranks' message: another rank would wait for this one's gradients."""
    told: list[tuple[int, ...]] = []

    def full(_batch: Batch, _device: torch.device) -> Batch:
        raise torch.OutOfMemoryError("no room")

    def noted(*numbers: int) -> list[int]:
        told.append(numbers)
        return list(numbers)

    monkeypatch.setattr(Batch, "to", full)
    fed = feed(iter([random_batch(0)]), "cpu")
    monkeypatch.setattr(type(fed.engine.ranks), "count", lambda _ranks, *numbers: noted(*numbers))
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        fed.next()
    assert told == [(0, 0, 0, 0, 0, 1)]
