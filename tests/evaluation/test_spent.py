"""Interrupted work is counted, once."""

from pathlib import Path

import pytest

from aimv2_lab.evaluation.spent import seconds_spent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Processor seconds, to be set by the test."""
    now = [100.0]
    monkeypatch.setattr("aimv2_lab.evaluation.spent.time.process_time", lambda: now[0])
    return now


def test_seconds_of_interrupted_parts_are_added_up(tmp_path: Path, clock: list[float]) -> None:
    file = tmp_path / "seconds.txt"
    for part in (3.0, 4.0):
        with pytest.raises(KeyboardInterrupt), seconds_spent(file):
            clock[0] += part
            raise KeyboardInterrupt
        clock[0] = 50.0  # another process has another clock
    with seconds_spent(file) as seconds:
        clock[0] += 5.0
        assert seconds() == 12.0
    assert not file.exists()


def test_nothing_is_written_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"), seconds_spent(tmp_path / "none" / "seconds.txt"):
        raise ValueError("refused")
    assert not list(tmp_path.iterdir())
