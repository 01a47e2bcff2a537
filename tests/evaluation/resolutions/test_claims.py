"""What is said of resolutions is what the runs say, or it is not said."""

from __future__ import annotations

import pytest

from aimv2_lab.evaluation.resolutions import claims
from aimv2_lab.evaluation.resolutions.claims import CLAIMS, HIGH_AT_HIGH, LONG, READINGS, SQUARE, TABLE_6, Claim, answer
from aimv2_lab.evaluation.resolutions.comparing import Seen, difference
from aimv2_lab.evaluation.resolutions.toys import PROBED
from aimv2_lab.evaluation.resolutions.views import RATIOS
from tests.evaluation.resolutions.made_up import fitting_readings, made_up_runs


def test_every_claim_has_one_sentence_and_asks_what_was_probed() -> None:
    every = [name for group in CLAIMS.values() for name in group]
    assert len(every) == len(set(every)) and set(every) == set(READINGS)
    for claim in (claim for group in CLAIMS.values() for claim in group.values()):
        for one in (claim.seen, claim.against):
            assert {one.view, claim.since or one.view} <= set(PROBED[one.trained])
    assert {LONG, SQUARE} <= set(RATIOS)


def test_the_papers_differences_are_those_of_its_table() -> None:
    stated = [claim.stated for claim in CLAIMS["Table 6"].values()]
    assert stated == [7.7, 3.1, -0.5, -0.8, -0.6, 0.2]
    others = [claim.stated for group in ("aspect ratio", "positions", "going on") for claim in CLAIMS[group].values()]
    assert others == [None] * len(others)
    assert all(set(views) <= set(PROBED[name]) for name, views in TABLE_6.items())


def test_answers_are_paired_differences_and_verdicts_follow_their_sign() -> None:
    runs = made_up_runs()
    at_low = CLAIMS["Table 6"]["at the low size: trained there, against trained high"]
    found = answer(runs, at_low)
    assert found.difference == difference(runs, at_low.seen, at_low.against)
    assert found.difference.mean == pytest.approx(0.08, abs=0.005) and found.word == "shows"
    turned = answer(runs, Claim(Seen("native", "native"), HIGH_AT_HIGH))
    assert turned.word == "shows the opposite"  # the paper has native below
    assert answer(runs, Claim(Seen("native", "native"), HIGH_AT_HIGH, LONG)).word == "above"


def test_a_sentence_that_the_runs_contradict_is_named() -> None:
    runs = made_up_runs()
    fitting = fitting_readings(runs)
    assert list(claims.answered(runs, "going on", fitting)) == list(CLAIMS["going on"])
    name = "padding seen, against masked"
    wrong = fitting | {name: fitting[name]._replace(word="above")}
    with pytest.raises(ValueError, match=f"{name}: written 'above', measured 'not told apart'.*claims.py"):
        claims.answered(runs, "going on", wrong)


def test_what_was_not_run_is_named() -> None:
    runs = [run for run in made_up_runs() if run["variant"] != "native"]
    with pytest.raises(KeyError, match="native"):
        answer(runs, Claim(Seen("native", "native"), HIGH_AT_HIGH))
