"""The stored probing has every read that notebook 10 draws, and comes back as it was found."""

from __future__ import annotations

from aimv2_lab.evaluation.probing.results import TaskScores
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.lessons.probe_runs import COMMAND, READS, SEEDS, STORED, Read, as_stored, stored_scores
from aimv2_lab.report.stored import load_result


def test_every_read_is_stored_with_every_factor_and_seed() -> None:
    found = stored_scores()
    assert load_result(STORED).command == COMMAND and set(found) == set(READS)
    for read, tasks in found.items():
        seeds = 1 if read.kind == "neighbours" else len(SEEDS)
        assert len(tasks) == 10
        assert {len(by["top1"].values) for task in tasks for by in task.by_test.values()} == {seeds}


def test_scores_are_stored_rounded() -> None:
    top1 = {"seen": {"top1": Interval.of([0.12341, 0.5])}}
    stored = as_stored(Read("trained"), [TaskScores("hue", 3, top1, {"seen": 0.33333}, (), ())])  # type: ignore[arg-type]
    assert stored["layers"] == (4,) and stored["kind"] == "attentive"
    assert stored["tasks"]["hue"]["top1"] == {"seen": [0.1234, 0.5]}
    assert stored["tasks"]["hue"]["chance"] == {"seen": 0.3333}
