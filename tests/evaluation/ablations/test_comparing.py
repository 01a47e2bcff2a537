"""Rows over seeds, and their paired differences."""

from __future__ import annotations

from typing import Any

import pytest

from aimv2_lab.evaluation.ablations.comparing import column_score, measured_rows
from aimv2_lab.evaluation.ablations.tables import Ablation, Row
from aimv2_lab.evaluation.probing.opening import SEEN

TABLE = Ablation("Toy", "nowhere", ("IN-1k",), (Row("one", "a", (1.0,)), Row("other", "b")), "one")


def run(variant: str, seed: int, ground: float, mark: float) -> dict[str, Any]:
    factors = {"ground hue": ground, "ground light": ground + 0.1, "large object, mark": mark}
    return {"variant": variant, "seed": seed, "scores": {"attentive": {SEEN: factors}}}


def test_p_and_t_count_alike_however_many_factors_each_has() -> None:
    factors = run("a", 1, 0.4, 0.8)["scores"]["attentive"][SEEN]
    assert column_score(factors, "P") == pytest.approx(0.45)
    assert column_score(factors, "T") == pytest.approx(0.8)
    assert column_score(factors, "P and T") == pytest.approx(0.625)


def test_differences_are_paired_by_seed_and_over_the_seeds_that_both_have() -> None:
    # Seeds differ by much, the two rows of one seed by little: only pairs tell them apart.
    runs = [run("a", seed, 0.1 * seed, 0.5) for seed in (1, 2, 3, 4)]
    runs += [run("b", seed, 0.1 * seed + 0.02 + 0.001 * seed, 0.5) for seed in (3, 2, 1)]
    one, other = measured_rows(TABLE, runs)
    assert one.differences is None and one.clear() == "not told apart"
    assert len(one.scores["P"].values) == 4 and len(other.scores["P"].values) == 3
    assert other.differences is not None
    assert other.differences["P"].mean == pytest.approx(0.022)
    assert other.differences["P"].reach == pytest.approx(4.303 * 0.001 / 3**0.5)
    assert other.clear("P") == other.clear() == "above"
    assert other.clear("T") == "not told apart"
    assert other.scores["P"].reach > 0.2  # type: ignore[operator]


def test_an_interval_that_holds_zero_tells_nothing() -> None:
    runs = [run("a", seed, 0.5, 0.5) for seed in (1, 2, 3)]
    runs += [run("b", seed, 0.5 + change, 0.5) for seed, change in ((1, -0.2), (2, 0.0), (3, 0.1))]
    assert measured_rows(TABLE, runs)[1].clear() == "not told apart"
    runs[3:] = [run("b", seed, 0.4 + 0.001 * seed, 0.5) for seed in (1, 2, 3)]
    assert measured_rows(TABLE, runs)[1].clear() == "below"
    with pytest.raises(ValueError, match="no run of b, the row 'other'"):
        measured_rows(TABLE, runs[:3])
