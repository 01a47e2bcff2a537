"""From the scores of all runs to tables: every row's interval over seeds, and its difference to the default, paired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from aimv2_lab.evaluation.ablations.tables import Ablation, Row
from aimv2_lab.evaluation.probing.factors import FACTORS
from aimv2_lab.evaluation.probing.opening import SEEN
from aimv2_lab.evaluation.probing.scores import Interval

Column = Literal["P and T", "P", "T", "PT", "R"]
Side = Literal["above", "below", "not told apart"]
COLUMNS: tuple[Column, ...] = ("P and T", "P", "T", "PT", "R")
_GROUPS = {factor.name: factor.group for factor in FACTORS}


@dataclass(frozen=True)
class Measured:
    """A row with what was measured: by column the interval over seeds, and that of the difference to the table's
    default under the same seeds, None for the default itself."""

    row: Row
    scores: Mapping[Column, Interval]
    differences: Mapping[Column, Interval] | None

    def clear(self, column: Column = "P and T") -> Side:
        """Where the row lies against the default, if the 95% interval of their difference leaves zero out.

        Intervals are over training seeds, and not widened for how many rows are compared: of forty rows that are alike,
        two are told apart by chance.
        """
        return "not told apart" if self.differences is None else side_of(self.differences[column])


def side_of(difference: Interval) -> Side:
    """Where a 95% interval lies, if it leaves zero out."""
    if difference.reach is None or abs(difference.mean) <= difference.reach:
        return "not told apart"
    return "above" if difference.mean > 0 else "below"


def column_score(factors: Mapping[str, float], column: Column) -> float:
    """The mean over the factors of a group; "P and T", the one that tables are read by, is the mean of both groups'."""
    if column == "P and T":
        return fmean((column_score(factors, "P"), column_score(factors, "T")))
    return fmean(score for name, score in factors.items() if _GROUPS[name] == column)


def measured_rows(table: Ablation, runs: Sequence[Mapping[str, Any]], test: str = SEEN) -> tuple[Measured, ...]:
    """The rows of a table from stored runs, on a test set of the probes.

    Rows are compared under the seeds that both have. Raises ValueError where a row has no runs.
    """
    default = table.default_row
    against = _by_seed(default, runs, test)
    return tuple(_measured(row, _by_seed(row, runs, test), None if row is default else against) for row in table.rows)


def _by_seed(row: Row, runs: Sequence[Mapping[str, Any]], test: str) -> dict[int, Mapping[str, float]]:
    found = {run["seed"]: run["scores"][row.probe][test] for run in runs if run["variant"] == row.variant}
    if not found:
        raise ValueError(f"no run of {row.variant}, the row {row.label!r}: run aimv2_lab.launch.ablate first")
    return found


def _measured(
    row: Row, found: Mapping[int, Mapping[str, float]], against: Mapping[int, Mapping[str, float]] | None
) -> Measured:
    present = {_GROUPS[name] for factors in found.values() for name in factors}
    columns = [column for column in COLUMNS if present.issuperset(column.split(" and "))]
    scores = {column: Interval.of([column_score(factors, column) for factors in found.values()]) for column in columns}
    if against is None:
        return Measured(row, scores, None)
    both = sorted(found.keys() & against.keys())
    differences = {
        column: Interval.of([column_score(found[s], column) - column_score(against[s], column) for s in both])
        for column in columns
    }
    return Measured(row, scores, differences)
