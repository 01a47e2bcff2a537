"""The rules of notebook 07 count what they say, and captions are cut at their first end token."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.data.batches import Batch
from aimv2_lab.lessons import caption_toys as toys


@pytest.fixture(scope="module")
def batch() -> Batch:
    tokens, counted = toys.padding_is_end().encode(["a red circle.", "a star above a small blue bar."], 20)
    return Batch(torch.zeros(2, 3, 48, 48), tokens, counted, torch.ones(2, dtype=torch.long), ("0", "1"))


def test_the_rules_differ_in_end_and_padding_alone(batch: Batch) -> None:
    right, every, by_id = (rule(batch) for rule in (toys.by_length, toys.everything, toys.not_the_padding_id))
    assert torch.equal(right, batch.counted)
    assert every.all() and not right.all()
    assert (right & ~by_id).sum(dim=1).tolist() == [1, 1]  # the end token of each caption
    assert not (by_id & ~right).any()


def test_a_caption_ends_at_its_first_end_token(monkeypatch: pytest.MonkeyPatch) -> None:
    end = toys.padding_is_end().end_id
    rows = torch.tensor([[5, end, end], [5, 6, 7]]).repeat(toys.ASKED // 2, 1)
    monkeypatch.setattr(toys, "generate", lambda _model, images, _end: rows[: len(images)])
    captions = toys.written(None)  # type: ignore[arg-type]
    assert captions[:2] == [[5, end], [5, 6, 7]]
    assert toys.share_that_ends(captions) == 0.5


def test_a_talker_learns_from_what_the_rule_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"training.steps": 3, "training.batch_size": 4, "training.micro_batch_size": 4}
    monkeypatch.setattr(toys, "TALKER", toys.TALKER.change({**sizes, "data.source": "world:easy:8"}))
    given = toys.talker_batches()
    assert len(given) == 3
    end = toys.padding_is_end().end_id
    assert all((batch.tokens[~batch.counted] == end).all() for batch in given)
    assert not all(batch.counted.all() for batch in given)
    first = [toys.train_talker(given, rule).losses for rule in (toys.by_length, toys.everything, toys.by_length)]
    assert first[0] == first[2] != first[1]
