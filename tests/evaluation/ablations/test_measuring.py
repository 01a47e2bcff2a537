"""A variant is trained and probed once, and what was measured is not passed off as another's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.data.world.source import LENGTHS, open_world
from aimv2_lab.evaluation.ablations import measuring
from aimv2_lab.evaluation.ablations.measuring import MEASURES, run_variant
from aimv2_lab.evaluation.ablations.toys import AIMV2, PROBES
from aimv2_lab.evaluation.ablations.variants import Variant
from aimv2_lab.formats.folder import CHECKPOINTS, newest_checkpoint
from aimv2_lab.recipes import rival
from aimv2_lab.training import loop
from aimv2_lab.training.run.stopping import Preempted
from aimv2_lab.training.step import train_step

QUICK = {
    "data.source": "world:contrast:64",
    "training.steps": 4,
    "training.validate_every": 4,
    "training.validation_batches": 1,
    "training.checkpoint_every": 2,
}


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fewer scenes to probe than a stored result has."""
    monkeypatch.setitem(LENGTHS, "validation", 120)
    monkeypatch.setitem(LENGTHS, "heldout", 120)
    monkeypatch.setattr(measuring, "PROBED_SCENES", 150)
    quick = {name: replace(probe, epochs=2, batch_size=50) for name, probe in PROBES.items()}
    monkeypatch.setattr(measuring, "PROBES", quick)
    yield
    open_world.cache_clear()  # sources know their length by their split
    measuring._scenes.cache_clear()


def test_a_trained_variant_is_probed_and_its_scores_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = Variant(AIMV2.change(QUICK), probes=("attentive", "linear", "neighbours"))
    found = run_variant(variant, 3, tmp_path / "run")
    assert set(found["scores"]) == set(variant.probes)
    for by_test in found["scores"].values():
        assert set(by_test) == {"seen combinations", "held-out combinations"}
        for factors in by_test.values():
            assert {"ground hue", "large object, mark", "small object, shape"} <= set(factors)
            assert all(0 <= score <= 1 for score in factors.values())
    assert {"total", "pixel", "text"} <= set(found["losses"]) and found["seconds"] > 0
    assert not (tmp_path / "run" / CHECKPOINTS).exists() and not (tmp_path / "run" / "features").exists()
    monkeypatch.setattr(measuring, "pretrain", None)  # a second training would fail
    assert run_variant(variant, 3, tmp_path / "run") == found
    with pytest.raises(ValueError, match=r"training\.seed was 3, is 4"):
        run_variant(variant, 4, tmp_path / "run")
    monkeypatch.setattr("aimv2_lab.data.world.settings.CODE_VERSION", 999)
    with pytest.raises(ValueError, match="measured in another way: with another world"):
        run_variant(variant, 3, tmp_path / "run")


def test_an_interrupted_variant_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variant = Variant(rival("image-only", AIMV2.change(QUICK)))
    expected = run_variant(variant, 3, tmp_path / "whole")
    monkeypatch.setattr(measuring, "_scores", _fails)
    with pytest.raises(OSError, match="no space"):
        run_variant(variant, 3, tmp_path / "run")
    assert not (tmp_path / "run" / MEASURES).exists()
    monkeypatch.undo()
    few = variant.seeded(3)
    assert few.training.steps == 4
    # Fewer scenes again, after the undoing.
    monkeypatch.setitem(LENGTHS, "validation", 120)
    monkeypatch.setitem(LENGTHS, "heldout", 120)
    monkeypatch.setattr(measuring, "PROBED_SCENES", 150)
    monkeypatch.setattr(measuring, "PROBES", {"attentive": replace(PROBES["attentive"], epochs=2, batch_size=50)})
    again = run_variant(variant, 3, tmp_path / "run")
    assert (again["scores"], again["losses"]) == (expected["scores"], expected["losses"])


def test_a_variant_stopped_in_training_goes_on_to_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = Variant(AIMV2.change(QUICK))
    expected = run_variant(variant, 3, tmp_path / "whole")

    def told_to_stop(*given: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return train_step(*given)

    with monkeypatch.context() as stopping, pytest.raises(Preempted):
        stopping.setattr(loop, "train_step", told_to_stop)
        run_variant(variant, 3, tmp_path / "run")
    assert newest_checkpoint(tmp_path / "run") is not None and float((tmp_path / "run-seconds.txt").read_text()) > 0
    again = run_variant(variant, 3, tmp_path / "run")
    assert (again["scores"], again["losses"]) == (expected["scores"], expected["losses"])
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "run"}


def test_first_weights_are_probed_where_nothing_is_trained(tmp_path: Path) -> None:
    variant = Variant(AIMV2.change(QUICK), trained=False)
    one, other = (run_variant(variant, seed, tmp_path / str(seed)) for seed in (1, 2))
    assert one["losses"] == {} and one["scores"] != other["scores"]


def _fails(*_: object) -> None:
    raise OSError("no space left")
