"""A run folder goes on with the data it was started on, and says what is different where they are not."""

import json
from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.data import batches
from aimv2_lab.data.batches import PairDataset
from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.recipes import recipe
from aimv2_lab.training.run import DATA_FILE, refuse_other_data
from tests.data.generated import Bytes, ListSource


def identity(weights: tuple[int, int] = (3, 1), length: int = 9, share: float = 0.5) -> dict[str, Any]:
    """Of a run on two sources."""
    parts = [{"source": name, "weight": weight} for name, weight in zip("ab", weights, strict=True)]
    parts[1]["synthetic_share"] = share
    changed = recipe("tiny", {"data.source": "", "data.mixture": parts})
    source = MixedSource((ListSource(9), ListSource(length, shards=(length - 4, 4))), weights, ("a", "b"))
    return PairDataset(source, Bytes(), changed, training=True).identity()


def refused(tmp_path: Path, now: dict[str, Any]) -> str:
    (tmp_path / DATA_FILE).write_text(json.dumps({"train": identity()}))
    with pytest.raises(ValueError, match="was started on other data") as stop:
        refuse_other_data(tmp_path, {"train": now})
    return str(stop.value)


def test_the_same_data_are_accepted(tmp_path: Path) -> None:
    (tmp_path / DATA_FILE).write_text(json.dumps({"train": identity()}))
    refuse_other_data(tmp_path, {"train": identity()})


def test_every_difference_is_shown_and_nothing_else(tmp_path: Path) -> None:
    assert "data: train.sources.2.weight was 1, is 2. Resume" in refused(tmp_path, identity(weights=(3, 2)))
    assert "data: train.sources.2.pairs was 9, is 8. Resume" in refused(tmp_path, identity(length=8))
    assert "data: train.sources.2.synthetic_share was 0.5, is 0.7. Resume" in refused(tmp_path, identity(share=0.7))


def test_another_version_of_the_order_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ORDER_VERSION", 99)
    now = identity()
    monkeypatch.undo()
    assert "train.order was 1, is 99. Resume with the data and the version of aimv2_lab" in refused(tmp_path, now)


def test_a_source_that_is_gone_is_shown(tmp_path: Path) -> None:
    now = identity()
    del now["sources"]["2"]
    assert "train.sources.2.weight was 1, is None" in refused(tmp_path, now)
