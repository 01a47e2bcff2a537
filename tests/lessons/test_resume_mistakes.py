"""Each way to go on forgets what it says, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aimv2_lab.lessons.resume_mistakes import resumed
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.run.checkpoint import save_checkpoint
from aimv2_lab.training.step import loss_counts, train_step
from tests.training.toy import SMALL, random_batch


@pytest.fixture
def saved(tmp_path: Path) -> tuple[LocalEngine, Path]:
    engine = LocalEngine(build_model(SMALL), SMALL.training, torch.device("cpu"))
    for step in range(3):
        batch = random_batch(step)
        train_step(engine, batch, loss_counts(batch, SMALL), SMALL)
    return engine, save_checkpoint(tmp_path, engine, {}, kept=1)


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_nothing_forgotten_is_the_same_state(saved: tuple[LocalEngine, Path]) -> None:
    engine, checkpoint = saved
    exact = resumed(checkpoint, SMALL)
    assert exact.steps_done == 3
    assert equal(exact.model.state_dict(), engine.model.state_dict())
    assert equal(exact.optimizer_state(), engine.optimizer_state())


def test_adams_averages_alone_are_forgotten(saved: tuple[LocalEngine, Path]) -> None:
    engine, checkpoint = saved
    forgetful = resumed(checkpoint, SMALL, "Adam's averages")
    assert forgetful.steps_done == 3 and not forgetful.optimizer.state
    assert equal(forgetful.model.state_dict(), engine.model.state_dict())


def test_the_step_alone_is_forgotten(saved: tuple[LocalEngine, Path]) -> None:
    engine, checkpoint = saved
    forgetful = resumed(checkpoint, SMALL, "the step")
    assert forgetful.steps_done == 0
    assert equal(forgetful.optimizer_state(), engine.optimizer_state())


def test_another_part_is_refused(saved: tuple[LocalEngine, Path]) -> None:
    with pytest.raises(ValueError, match="forgets = 'the weights'; the parts are nothing, Adam's averages, the step"):
        resumed(saved[1], SMALL, "the weights")  # type: ignore[arg-type]
