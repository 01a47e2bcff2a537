"""A run folder goes on with the data it was started on, and says what is different where they are not."""

import json
from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.data import batches
from aimv2_lab.data.batches import PairDataset
from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.recipes import recipe
from aimv2_lab.training.run.folder import (
    DATA_FILE,
    create_run,
    find_checkpoint,
    keep_deepspeed_file,
    refuse_other_data,
    refuse_other_state,
    replace_text,
)
from tests.data.generated import Bytes, ListSource


def identity(
    weights: tuple[int, int] = (3, 1), length: int = 9, share: float = 0.5, fingerprint: str = "0"
) -> dict[str, Any]:
    """Of a run on two sources."""
    parts = [{"source": name, "weight": weight} for name, weight in zip("ab", weights, strict=True)]
    parts[1]["synthetic_share"] = share
    changed = recipe("tiny", {"data.source": "", "data.mixture": parts})
    second = ListSource(length, shards=(length - 4, 4))
    second.fingerprint = fingerprint
    source = MixedSource((ListSource(9), second), weights, ("a", "b"))
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
    assert "data: train.sources.2.fingerprint was 0, is 1. Resume" in refused(tmp_path, identity(fingerprint="1"))


def test_another_version_of_the_order_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ORDER_VERSION", 99)
    now = identity()
    monkeypatch.undo()
    assert "train.order was 1, is 99. Resume with the data and the version of aimv2_lab" in refused(tmp_path, now)


def test_a_source_that_is_gone_is_shown(tmp_path: Path) -> None:
    now = identity()
    del now["sources"]["2"]
    assert "train.sources.2.weight was 1, is None" in refused(tmp_path, now)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    """Copied into the run folder, or edited: it was reached after other samples, or on other data."""
    state = {"consumed_samples": 80, "data": {"train": identity()}}
    refuse_other_state(tmp_path, json.loads(json.dumps(state)), 80, {"train": identity()})
    with pytest.raises(ValueError, match="made after 80 samples, but its steps are 88"):
        refuse_other_state(tmp_path, state, 88, {"train": identity()})
    with pytest.raises(ValueError, match=r"train\.sources\.2\.weight was 1, is 2"):
        refuse_other_state(tmp_path, state, 80, {"train": identity(weights=(3, 2))})


def test_what_a_killed_start_left_is_no_hindrance_and_goes(tmp_path: Path) -> None:
    plan = recipe("tiny")
    for name in ("writing-recipe.json", "writing-0a1b2c3d-recipe.json"):
        (tmp_path / name).write_text("{")
    assert find_checkpoint(tmp_path, plan, resume=False) is None
    create_run(tmp_path, plan, None, {})
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.json", "environment.json", "data.json"}


def test_a_text_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "metrics.jsonl"
    replace_text(file, "old")
    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_text", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            replace_text(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
    replace_text(file, "new")
    assert file.read_text() == "new" and list(tmp_path.iterdir()) == [file]


def test_every_start_keeps_the_deepspeed_settings_it_ran_with(tmp_path: Path) -> None:
    own, run = tmp_path / "own.json", tmp_path / "run"
    for steps_done, text in ((0, '{"log_level": "info"}'), (40, "{}")):
        own.write_text(text)
        keep_deepspeed_file(run, recipe("tiny", {"engine.deepspeed": str(own)}), steps_done)
    keep_deepspeed_file(run, recipe("tiny"), 60)
    kept = {path.name: path.read_text() for path in run.iterdir()}
    assert kept == {"deepspeed-00000000.json": '{"log_level": "info"}', "deepspeed-00000040.json": "{}"}


def test_a_source_that_is_new_is_shown(tmp_path: Path) -> None:
    now = identity()
    now["sources"]["3"] = {"weight": 2}
    assert "train.sources.3.weight was None, is 2" in refused(tmp_path, now)
