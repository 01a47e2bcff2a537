"""A run that is told to stop saves where it stands, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aimv2_lab.training import loop
from aimv2_lab.training.engine import Engine
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.checkpoint import save_checkpoint
from aimv2_lab.training.run.stopping import Preempted
from tests.launch.failing_ranks import SHORT

ALONE = SHORT.change({"training.steps": 6})  # saved after every second step


@pytest.mark.parametrize(("stopped_after", "saved"), [(0, [0]), (3, [2, 3]), (4, [2, 4])])
def test_told_to_stop_a_run_saves_unless_it_just_has(
    stopped_after: int, saved: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, saves = list[int](), list[int]()

    @contextmanager
    def after_so_many() -> Iterator[Callable[[], bool]]:
        def told() -> bool:
            asked.append(1)
            return len(asked) > stopped_after

        yield told

    def save(run: Path, engine: Engine, *rest: object) -> Path:
        saves.append(engine.steps_done)
        return save_checkpoint(run, engine, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "stop_signal", after_so_many)
    monkeypatch.setattr(loop, "save_checkpoint", save)
    with pytest.raises(Preempted, match=rf"step {stopped_after} is saved in .*step-0000000{stopped_after}\."):
        pretrain(ALONE, tmp_path)
    assert saves == saved
    monkeypatch.undo()
    assert pretrain(ALONE, tmp_path, resume=True).steps_done == 6
