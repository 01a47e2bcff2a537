"""The ablations' figures draw the numbers they are given, for every table and column, and their titles follow."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from aimv2_lab.evaluation.ablations.comparing import COLUMNS, Measured
from aimv2_lab.evaluation.ablations.tables import ABLATIONS, Row
from aimv2_lab.evaluation.ablations.verdicts import wrong_orders
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.report import ablation_figures as figures
from aimv2_lab.report import ablation_group_figures as groups
from aimv2_lab.report.style import IMAGE


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def measured(row: Row, default: Row, change: float) -> Measured:
    scores = {column: Interval.of([0.6 + change + 0.01 * seed for seed in range(3)]) for column in COLUMNS}
    differences = {column: Interval.of([change + 0.001 * seed for seed in range(3)]) for column in COLUMNS}
    return Measured(row, scores, None if row is default else differences)


def toy_tables() -> dict[str, list[Measured]]:
    """Rows that lie above, below and at their defaults in turn."""
    changes = (0.05, -0.05, 0.0)
    return {
        name: [measured(row, table.default_row, changes[place % 3]) for place, row in enumerate(table.rows)]
        for name, table in ABLATIONS.items()
    }


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_table_is_drawn_in_every_column(name: str) -> None:
    for column in COLUMNS:
        figure = figures.draw_chosen(toy_tables(), name, column)
        seeds, *paper = figure.axes
        assert [label.get_text() for label in seeds.get_yticklabels()] == [row.label for row in ABLATIONS[name].rows]
        numbers = [len(row.paper) for row in ABLATIONS[name].rows]
        drawn = [line for axes in paper for line in axes.lines]
        assert len(drawn) == sum(numbers)


def test_a_table_shows_its_seeds_its_differences_and_what_is_second_hand() -> None:
    figure = figures.draw_ablation("aim-targets", toy_tables()["aim-targets"])
    seeds, linear, attentive = figure.axes
    dots = [np.asarray(drawn.get_offsets()) for drawn in seeds.collections]
    assert [points[:, 1].tolist() for points in dots if len(points) == 3] == [[0, 0, 0], [1, 1, 1]]
    assert [text.get_text() for text in seeds.texts] == ["default", "−4.9 ± 0.2"]
    assert figure.get_suptitle() == "Targets of AIM v1: 1 below (against normalised pixels)"
    assert [text.get_text() for text in linear.texts] == ["70.0", "67.5 ?"]
    assert [line.get_markerfacecolor() for line in attentive.lines] == [IMAGE, "white"]


def test_several_tables_stand_below_each_other() -> None:
    tables = {name: rows for name, rows in toy_tables().items() if name.startswith("decoder")}
    figure = figures.draw_ablations(tables)
    assert [part.get_suptitle().split(":")[0] for part in figure.subfigs] == [ABLATIONS[n].title for n in tables]


def test_all_differences_are_drawn_coloured_and_counted() -> None:
    tables = toy_tables()
    figure = figures.draw_all_differences(tables)
    rows = [one for table in tables.values() for one in table if one.differences is not None]
    sides: list[str] = [one.clear() for one in rows]
    counts = ", ".join(f"{sides.count(side)} {side}" for side in figures.SIDES)
    assert figure.get_suptitle() == f"{len(rows)} rows against their defaults: {counts}"
    drawn = [
        line for axes in figure.axes for line in axes.lines if line.get_marker() == "D"
    ]  # a diamond each, and its interval beside it
    assert [to_rgba(line.get_color()) for line in drawn] == [to_rgba(figures.SIDES[side]) for side in sides]


def test_the_objectives_title_says_what_the_differences_allow() -> None:
    table = ABLATIONS["objective"]
    changes = {"image only": -0.05, "caption only, prefix": 0.0}
    rows = [measured(row, table.default_row, changes.get(row.label, 0.0)) for row in table.rows]
    assert groups.objective_finding(rows) == (
        "AIMv2 keeps no more P than captions alone, and more T than pictures alone"
    )
    figure = groups.draw_objectives(rows, rows)
    assert "at equal FLOPs AIMv2 keeps no more P" in figure.get_suptitle()
    assert [text.get_text() for text in figure.axes[0].texts] == [row.label for row in table.rows]


def test_groups_have_a_panel_each_and_name_their_best() -> None:
    rows = toy_tables()["objective"]
    figure = groups.draw_groups(rows)
    assert len(figure.axes) == 4 and figure.get_suptitle().startswith("Highest mean: P AIMv2, T AIMv2")


def test_wrong_orders_are_counted_in_the_title() -> None:
    tables = {"objective": toy_tables()["objective"]}
    axes = groups.draw_wrong_orders(wrong_orders(ABLATIONS, tables)).axes[0]
    assert axes.get_title(loc="left") == "2 of 8 rows can be misordered; of all single pairs, 12% are"
