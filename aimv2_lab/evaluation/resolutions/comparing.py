"""What stored runs say: the scores of an encoder in a view, and the paired difference of two, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aimv2_lab.evaluation.ablations.comparing import Column, column_score
from aimv2_lab.evaluation.probing.opening import SEEN
from aimv2_lab.evaluation.probing.scores import Interval

Runs = Sequence[Mapping[str, Any]]


class Seen(NamedTuple):
    """Something trained (a name of `TRAINED`), and a view of the test pictures (a name of `VIEWS`)."""

    trained: str
    view: str


def score(runs: Runs, seen: Seen, column: Column = "P and T", test: str = SEEN) -> Interval:
    """The mean over a column's factors on a test set (`SEEN`, `HELD_OUT` or a name of `RATIOS`), over seeds; raises
    KeyError for what was not probed in that view."""
    return Interval.of([found for _, found in sorted(_by_seed(runs, seen, column, test).items())])


def difference(
    runs: Runs, seen: Seen, against: Seen, column: Column = "P and T", test: str = SEEN, since: str = ""
) -> Interval:
    """How much more the first has than the second, under the same seeds, or with a view named by `since`, how much more
    the first has gained since that view; raises KeyError as `score` does."""
    one, other = (_gains(runs, each, column, test, since) for each in (seen, against))
    return Interval.of([one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())])


def _gains(runs: Runs, seen: Seen, column: Column, test: str, since: str) -> dict[int, float]:
    found = _by_seed(runs, seen, column, test)
    before = _by_seed(runs, seen._replace(view=since), column, test) if since else dict.fromkeys(found, 0.0)
    return {seed: value - before[seed] for seed, value in found.items()}


def _by_seed(runs: Runs, seen: Seen, column: Column, test: str) -> dict[int, float]:
    members = [run for run in runs if run["variant"] == seen.trained]
    if not members:
        raise KeyError(f"no run of {seen.trained!r}: run aimv2_lab.launch.resolutions first")
    return {run["seed"]: column_score(run["scores"][seen.view][test], column) for run in members}
