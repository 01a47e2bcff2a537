import json
from pathlib import Path

import pytest

from aimv2_lab.data.damage import MINIMUM_SAMPLES, DamageLog, Replacement, TooMuchDamage


def found(*positions: int, reason: str = "truncated: half of it", source: int = 0) -> list[Replacement]:
    return [
        Replacement(position, f"shard/{position:04d}", reason, f"shard/{position + 1:04d}", source)
        for position in positions
    ]


def seen(samples: int) -> dict[str, int]:
    """So many samples of the only source."""
    return {"list": samples}


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "damage.jsonl").read_text().splitlines()]


def test_every_replacement_is_written_and_counted(tmp_path: Path) -> None:
    log = DamageLog(tmp_path, limit=0.5)
    log.record(found(3, 5), seen(32))
    log.record([], seen(64))
    log.record(found(70, reason="zero bytes") + found(71, reason="truncated: other bytes"), seen(96))
    assert [line["position"] for line in lines(tmp_path)] == [3, 5, 70, 71]
    assert lines(tmp_path)[0] == {
        "position": 3,
        "key": "shard/0003",
        "reason": "truncated: half of it",
        "used_key": "shard/0004",
        "source": 0,
    }
    assert log.replaced(seen(96)) == seen(4)


def test_an_undamaged_run_writes_nothing(tmp_path: Path) -> None:
    DamageLog(tmp_path, limit=0.0).record([], seen(1000))
    assert not (tmp_path / "damage.jsonl").exists()


def test_above_the_limit_the_run_stops_and_says_why(tmp_path: Path) -> None:
    log = DamageLog(tmp_path, limit=0.01)
    log.record(found(1, 2), seen(200))  # exactly the limit
    with pytest.raises(TooMuchDamage) as stop:
        log.record(found(250), seen(290))
    for part in (
        "3 of 290 samples of list",
        "1.03%",
        "1.00%",
        "data.damage_limit",
        "shard/0001 (truncated",
        str(tmp_path / "damage.jsonl"),
    ):
        assert part in str(stop.value)
    assert len(lines(tmp_path)) == 3  # the one too many is listed too


def test_every_source_is_held_to_the_limit_by_itself(tmp_path: Path) -> None:
    """A bad source does not hide behind the samples of good ones, nor do the good ones pay for it."""
    log = DamageLog(tmp_path, limit=0.01)
    log.record(found(1, 2, 3, source=1) + found(0, 5, source=0), {"good": 9_000, "bad": MINIMUM_SAMPLES - 1})
    assert log.replaced({"good": 9_000, "bad": 199}) == {"good": 2, "bad": 3}
    with pytest.raises(TooMuchDamage, match=r"3 of 200 samples of bad .* first: shard/0001"):
        log.record([], {"good": 9_000, "bad": MINIMUM_SAMPLES})


def test_a_handful_of_samples_cannot_stop_a_run(tmp_path: Path) -> None:
    log = DamageLog(tmp_path, limit=0.01)
    log.record(found(*range(50)), seen(MINIMUM_SAMPLES - 1))
    with pytest.raises(TooMuchDamage):
        log.record(found(150), seen(MINIMUM_SAMPLES))


def test_damage_among_the_first_samples_stops_the_run_once_there_are_enough(tmp_path: Path) -> None:
    log = DamageLog(tmp_path, limit=0.01)
    log.record(found(1, 2, 3), seen(MINIMUM_SAMPLES - 20))
    with pytest.raises(TooMuchDamage):
        log.record([], seen(MINIMUM_SAMPLES))


def test_a_position_with_several_damaged_pairs_counts_once(tmp_path: Path) -> None:
    log = DamageLog(tmp_path, limit=0.01)
    log.record([Replacement(7, key, "zero bytes", "good", 0) for key in ("a", "b", "c")], seen(200))
    assert log.replaced(seen(200)) == seen(1)
    assert len(lines(tmp_path)) == 3


def test_batches_seen_again_after_a_resume_add_nothing(tmp_path: Path) -> None:
    DamageLog(tmp_path, limit=0.01).record(found(10, 180), seen(200))
    resumed = DamageLog(tmp_path, limit=0.01)
    resumed.record(found(180), seen(200))
    resumed.record(found(180), seen(200))
    assert resumed.replaced(seen(200)) == seen(2)
    assert len(lines(tmp_path)) == 2


def test_damage_ahead_of_a_resume_waits_until_it_is_reached(tmp_path: Path) -> None:
    """Interrupted at 1,000 samples, resumed from a checkpoint at 200: the share is of what the resumed run has seen."""
    DamageLog(tmp_path, limit=0.01).record(found(10, 300, 500, 700, 900), seen(1000))
    resumed = DamageLog(tmp_path, limit=0.01)
    resumed.record(found(210), seen(232))
    assert resumed.replaced(seen(232)) == seen(2)


def test_a_line_cut_off_by_an_interruption_is_written_again(tmp_path: Path) -> None:
    DamageLog(tmp_path, limit=0.5).record(found(1, 2), seen(32))
    path = tmp_path / "damage.jsonl"
    path.write_text(path.read_text()[:-20])
    DamageLog(tmp_path, limit=0.5).record(found(1, 2), seen(32))
    assert [line["position"] for line in lines(tmp_path)] == [1, 2]


def test_a_folder_that_was_moved_takes_its_damage_along(tmp_path: Path) -> None:
    """Keys and names of sources may change on resume; positions and numbers do not."""
    DamageLog(tmp_path, limit=0.01).record(found(10, 180), {"old": 200})
    resumed = DamageLog(tmp_path, limit=0.01)
    moved = [Replacement(180, "moved/0180", "truncated", "moved/0181", 0)]
    resumed.record(moved, {"moved": 200})
    assert resumed.replaced({"moved": 200}) == {"moved": 2}
    assert len(lines(tmp_path)) == 2
    with pytest.raises(TooMuchDamage, match="3 of 210 samples of moved"):
        resumed.record(found(205), {"moved": 210})
