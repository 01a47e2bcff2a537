"""What a table says at our scale: whether each row's difference is the paper's, read off the numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from aimv2_lab.evaluation.ablations.comparing import Column, Measured, Side
from aimv2_lab.evaluation.ablations.tables import Ablation, Row
from aimv2_lab.evaluation.probing.scores import Interval

Verdict = Literal["shows", "does not show", "shows the opposite"]
# Points; where the paper's rows differ by less, it claims no difference, and there is none to show. Our choice.
TIE = 0.2


def paper_difference(table: Ablation, row: Row) -> float | None:
    """How far the paper has a row above the table's default, in points, the mean over its columns; None for the default
    itself and for rows without numbers."""
    default = table.default_row
    if row is default or not row.paper or not default.paper:
        return None
    return fmean(here - there for here, there in zip(row.paper, default.paper, strict=True))


def verdict(table: Ablation, measured: Measured, column: Column = "P and T") -> Verdict | None:
    """Whether our difference, with 95% confidence, has the sign of the paper's, has the other one, or is not told from
    zero; None where the paper has no difference to compare with, or one of less than `TIE` points."""
    return agreement(paper_difference(table, measured.row), measured.clear(column))


def agreement(stated: float | None, side: Side) -> Verdict | None:
    """The verdict where the paper states a difference in points, and ours lies on a side."""
    if stated is None or abs(stated) < TIE:
        return None
    if side == "not told apart":
        return "does not show"
    return "shows" if (stated > 0) == (side == "above") else "shows the opposite"


def wrong_order(one: Interval, other: Interval) -> float:
    """The share of single pairs, a seed of each, that put two rows in another order than their means do; one half where
    the means are equal."""
    side = one.mean - other.mean
    if side == 0:
        return 0.5
    pairs = [(mine - theirs) * side <= 0 for mine in one.values for theirs in other.values]
    return fmean(pairs)


def wrong_orders(
    tables: Mapping[str, Ablation], measured: Mapping[str, Sequence[Measured]], column: Column = "P and T"
) -> dict[tuple[str, str], tuple[float, float]]:
    """By table and label of every row but the defaults: the difference of the means in points, regardless of its sign,
    and the share of single pairs that order the row and its default wrongly."""
    found = {}
    for name, rows in measured.items():
        default = next(one for one in rows if one.row is tables[name].default_row).scores[column]
        for one in rows:
            if one.differences is not None:
                own = one.scores[column]
                found[name, one.row.label] = 100 * abs(own.mean - default.mean), wrong_order(own, default)
    return found
