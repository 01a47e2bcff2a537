"""Verdicts follow from two signs, and a reading that says otherwise is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aimv2_lab.evaluation.ablations.comparing import Measured
from aimv2_lab.evaluation.ablations.readings import READINGS, Reading, check_reading, computed_reading
from aimv2_lab.evaluation.ablations.tables import ABLATIONS, Ablation, Row
from aimv2_lab.evaluation.ablations.verdicts import paper_difference, verdict, wrong_order, wrong_orders
from aimv2_lab.evaluation.probing.scores import Interval

DEFAULT = Row("default", "a", (50.0, 60.0))
BELOW, TIED, WITHOUT = Row("below", "b", (48.0, 61.0)), Row("tied", "c", (50.2, 59.9)), Row("without", "d")
TABLE = Ablation("Toy", "nowhere", ("one", "other"), (DEFAULT, BELOW, TIED, WITHOUT), "default")


def measured(row: Row, differences: Sequence[float]) -> Measured:
    interval = Interval.of([0.5 + change for change in differences])
    if row is DEFAULT:
        return Measured(row, {"P and T": interval}, None)
    return Measured(row, {"P and T": interval}, {"P and T": Interval.of(differences)})


def test_the_papers_difference_is_the_mean_over_its_columns() -> None:
    found = [paper_difference(TABLE, row) for row in TABLE.rows]
    assert found == [None, pytest.approx(-0.5), pytest.approx(0.05), None]


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ((-0.02, -0.03, -0.02), "shows"),
        ((0.02, 0.03, 0.02), "shows the opposite"),
        ((-0.02, 0.03, -0.02), "does not show"),
        ((-0.05,), "does not show"),  # one seed tells nothing
    ],
)
def test_a_verdict_follows_from_both_signs(differences: tuple[float, ...], word: str) -> None:
    assert verdict(TABLE, measured(BELOW, differences)) == word


def test_there_is_no_verdict_where_the_paper_has_no_difference() -> None:
    for row in (DEFAULT, TIED, WITHOUT):
        assert verdict(TABLE, measured(row, (-0.02, -0.03, -0.02))) is None


def test_a_reading_must_say_what_the_numbers_say() -> None:
    rows = [measured(DEFAULT, (0.0, 0.0)), *(measured(row, (-0.02, -0.03, -0.02)) for row in (BELOW, TIED, WITHOUT))]
    right = {"below": "shows", "tied": "below", "without": "below"}
    assert computed_reading(TABLE, rows) == right
    check_reading(TABLE, rows, Reading(right, "so"))
    with pytest.raises(ValueError, match="Toy: below: written 'does not show', measured 'shows'; correct it"):
        check_reading(TABLE, rows, Reading({**right, "below": "does not show"}, "so"))
    with pytest.raises(ValueError, match="tied: written None, measured 'below'"):
        check_reading(TABLE, rows, Reading({"below": "shows", "without": "below"}, "so"))


def test_there_is_a_reading_for_every_row_of_every_table() -> None:
    assert set(READINGS) == set(ABLATIONS)
    for name, table in ABLATIONS.items():
        assert set(READINGS[name].rows) == {row.label for row in table.rows} - {table.default}
        assert READINGS[name].because.endswith(".")


def test_single_pairs_are_counted_against_the_order_of_the_means() -> None:
    one, other = Interval.of([0.1, 0.2, 0.3]), Interval.of([0.15, 0.35])
    assert wrong_order(one, other) == pytest.approx(2 / 6)  # 0.2 and 0.3 above 0.15
    rows = [measured(DEFAULT, (0.0, 0.02)), measured(BELOW, (-0.05, 0.01))]
    ((key, (points, share)),) = wrong_orders({"toy": TABLE}, {"toy": rows}).items()
    assert key == ("toy", "below") and points == pytest.approx(3.0) and share == 0.25
