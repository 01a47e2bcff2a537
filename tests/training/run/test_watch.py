"""A loss far above those before it stops a run, also one that has just been resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from aimv2_lab.model.objective import LossCounts
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.feed import Feed
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.run.folder import METRICS_FILE
from aimv2_lab.training.run.watch import Watch
from aimv2_lab.training.step import StepResult
from tests.training.toy import SMALL

PLAN = SMALL.change({"training.loss_limit": 2.0, "training.steps": 1000})


def resumed(run: Path, steps_done: int, totals: dict[int, float]) -> Watch:
    """The watch of a run that goes on after so many steps, with these totals in its metrics by step."""
    rows = [{"kind": "train", "step": step, "total": total} for step, total in totals.items()]
    rows.append({"kind": "validation", "step": 1, "total": 1e9})
    (run / METRICS_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    engine = LocalEngine(build_model(PLAN), PLAN.training, torch.device("cpu"), steps_done)
    return Watch(engine, Feed(iter(()), engine, PLAN, lambda: False), PLAN, run)


def read(watch: Watch, total: float) -> dict[str, float]:
    """What is read after a step with that loss."""
    watch.engine.steps_done += 1
    value = torch.tensor(total)
    watch.add(("a", "b"), LossCounts(8, 8), StepResult(value, value, value, torch.tensor(1.0)))
    return watch.read()


@pytest.mark.parametrize("every", [1, 10])
def test_the_limit_works_at_once_after_a_resume(every: int, tmp_path: Path) -> None:
    watch = resumed(tmp_path, 30 * every, {step * every: 1.0 for step in range(1, 31)})
    assert read(watch, 1.9)["total"] == pytest.approx(1.9)
    with pytest.raises(FloatingPointError, match=r"loss 2\.1 is more than training\.loss_limit = 2 times 1, the"):
        read(watch, 2.1)


def test_the_losses_before_are_the_last_hundred_steps_where_there_are_enough(tmp_path: Path) -> None:
    watch = resumed(tmp_path, 300, {step: 5.0 if step <= 200 else 1.0 for step in range(1, 301)})
    with pytest.raises(FloatingPointError, match="times 1, the median"):
        read(watch, 2.1)


def test_steps_after_the_checkpoint_and_too_few_steps_say_nothing(tmp_path: Path) -> None:
    after = dict.fromkeys(range(100, 200), 1.0) | dict.fromkeys(range(1, 20), 1.0)
    assert read(resumed(tmp_path, 50, after), 100.0)["total"] == 100.0


def test_nothing_new_reads_as_nothing(tmp_path: Path) -> None:
    """As where a run is told to stop right after it has logged."""
    watch = resumed(tmp_path, 0, {})
    assert read(watch, 1.0)["data_waiting_share"] == 0.0
    assert watch.read() == {}
