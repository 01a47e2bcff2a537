"""Ten seeds make a band that holds each of them, and a run that differs is told where it left and on which side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from aimv2_lab.recipes import recipe
from aimv2_lab.report.band_figures import as_records
from aimv2_lab.report.bands import CAUSES, TINY_SEEDS, Band, Verdict, band_for, end_range, judge, seed_band, student
from aimv2_lab.report.curves import LOSSES, window_end
from aimv2_lab.report.stored import StoredResult, load_result

STORED = load_result(TINY_SEEDS)
STEPS = sorted({float(window_end(step)) for step in range(1, 1001)})


def runs_of(seeds: int, steps: Sequence[float] = STEPS) -> list[dict[str, Any]]:
    """Runs that fall alike, with noise of their own."""
    draws = np.random.default_rng(0)
    falling = 1 + np.exp(-np.array(steps) / 200)
    return [
        {
            "curves": {
                "step": list(steps),
                **{loss: list(falling + 0.01 * draws.normal(size=len(steps))) for loss in LOSSES},
            }
        }
        for _ in range(seeds)
    ]


def stored(runs: list[dict[str, Any]]) -> StoredResult:
    return StoredResult("noisy", "", "", 0.0, {}, asdict(recipe("tiny")), runs)


def centre(band: Band) -> dict[str, list[float]]:
    """The middle of a band, as curves."""
    middle = {loss: list((band.low[loss] + band.high[loss]) / 2) for loss in LOSSES}
    return {"step": list(band.steps), **middle}


def judged(curves: dict[str, list[float]], band: Band) -> dict[str, Verdict]:
    return {verdict.loss: verdict for verdict in judge(as_records(curves), band)}


@pytest.fixture
def band() -> Band:
    return seed_band(stored(runs_of(10)))


def test_the_stored_band_is_tinys_whole_run() -> None:
    band = band_for(recipe("tiny"))
    assert band.seeds == 10
    assert (band.steps[0], band.steps[-1]) == (5, recipe("tiny").training.steps)
    assert band.log_every == recipe("tiny").training.log_every
    for loss in LOSSES:
        assert (band.low[loss] < band.high[loss]).all()


@pytest.mark.parametrize("place", range(len(STORED.values)), ids=lambda place: f"seed {STORED.values[place]['seed']}")
def test_every_seed_lies_inside_the_band_of_the_others(place: int) -> None:
    others = seed_band(STORED, without=[place])
    assert others.seeds == len(STORED.values) - 1
    assert [str(verdict) for verdict in judge(as_records(STORED.values[place]["curves"]), others)] == [
        "pixel loss: inside the band",
        "caption loss: inside the band",
    ]


@pytest.mark.parametrize(("factor", "loss"), [(1.5, "pixel"), (0.6, "pixel"), (1.5, "text"), (0.6, "text")])
def test_the_stored_band_is_narrow_enough_to_notice(factor: float, loss: str) -> None:
    band = band_for(recipe("tiny"))
    curves = centre(band)
    verdict = judged({**curves, loss: [factor * value for value in curves[loss]]}, band)[loss]
    assert verdict.left_at is not None and verdict.left_at <= 100
    assert verdict.side == ("above" if factor > 1 else "below")


@pytest.mark.parametrize("offset", [0.2, -0.2])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_shifted_curve_is_outside_from_the_step_of_the_shift(band: Band, loss: str, offset: float) -> None:
    curves = centre(band)
    curves[loss] = [v + offset * (step >= 400) for v, step in zip(curves[loss], curves["step"], strict=True)]
    verdicts = judged(curves, band)
    side = "above" if offset > 0 else "below"
    assert verdicts.pop(loss) == Verdict(loss, 400, side)
    assert all(verdict.inside for verdict in verdicts.values())
    assert str(Verdict(loss, 400, side)).endswith(f"outside from step 400, {side}. Usual causes: {CAUSES[loss, side]}")


def test_two_windows_outside_and_sides_in_turn_are_noise(band: Band) -> None:
    curves = centre(band)
    for place, offset in ((10, 1.0), (11, 1.0), (20, 1.0), (21, -1.0), (22, 1.0), (23, -1.0)):
        curves["pixel"][place] += offset
    assert judged(curves, band)["pixel"].inside


def test_a_loss_that_is_no_number_is_outside(band: Band) -> None:
    curves = centre(band)
    curves["text"][20:] = [float("nan")] * len(curves["text"][20:])
    assert judged(curves, band)["text"] == Verdict("text", int(curves["step"][20]), "above")


def test_a_shorter_run_is_judged_as_far_as_it_goes(band: Band) -> None:
    curves = centre(band)
    curves["pixel"] = [value + 0.2 * (step >= 400) for value, step in zip(curves["pixel"], curves["step"], strict=True)]
    until = {name: values[: curves["step"].index(350) + 1] for name, values in curves.items()}
    assert judged(until, band)["pixel"].inside


def test_a_run_logged_more_often_is_judged_by_the_bands_steps(band: Band) -> None:
    """While a loss falls, the mean of a window's steps lies above its last step, which is all that the band has."""
    noisy = as_records(centre(band))
    between = [{"step": step, "pixel": 9.0, "text": 9.0} for step in range(1, 1001) if step % band.log_every]
    assert all(verdict.inside for verdict in judge([*noisy, *between], band))


def test_records_outside_the_bands_steps_are_no_run_to_judge(band: Band) -> None:
    with pytest.raises(ValueError, match=r"no record lies within the band's steps 1 … 1000; log the run's first steps"):
        judge([{"step": 5000, "pixel": 1.0, "text": 1.0}], band)


def test_another_recipe_is_refused_with_its_fields() -> None:
    other = recipe("tiny", {"training.peak_lr": 1e-2, "encoder.depth": 2})
    with pytest.raises(ValueError, match=r"encoder\.depth is 2, the band's runs had 4; training\.peak_lr is 0\.01"):
        band_for(other)


def test_seed_logging_and_place_of_the_data_may_differ() -> None:
    free = {"training.seed": 77, "training.log_every": 1, "training.validate_every": 9, "data.workers": 2}
    assert (band_for(recipe("tiny", free)).steps == band_for(recipe("tiny")).steps).all()


def test_a_band_needs_three_comparable_runs() -> None:
    with pytest.raises(ValueError, match="noisy holds 2 runs; a band needs at least 3 seeds"):
        seed_band(stored(runs_of(2)))
    with pytest.raises(ValueError, match="logged at different steps"):
        seed_band(stored([*runs_of(3), *runs_of(1, STEPS[:-1])]))


def test_the_band_is_wider_for_a_further_run_than_for_the_mean() -> None:
    """Few seeds: their mean is uncertain too, which the band adds."""
    runs = runs_of(4)
    values = np.array([run["curves"]["pixel"] for run in runs])
    band = seed_band(stored(runs))
    spread = np.sqrt(values.var(axis=0, ddof=1).mean() * (1 + 1 / 4))
    width = (band.high["pixel"] - band.low["pixel"]) / 2
    assert width.mean() == pytest.approx(student(3, 3) * spread, rel=0.15)


def test_windows_of_many_steps_do_not_borrow_the_spread_of_single_ones() -> None:
    runs = runs_of(6)
    for run, offset in zip(runs, np.linspace(-1, 1, 6), strict=True):  # wide apart up to step 200
        curve = run["curves"]
        curve["pixel"] = [v + offset * (step <= 200) for v, step in zip(curve["pixel"], curve["step"], strict=True)]
    band = seed_band(stored(runs))
    width = band.high["pixel"] - band.low["pixel"]
    assert width[band.steps == 200] > 10 * width[band.steps == 250]


@pytest.mark.parametrize(
    ("freedom", "quantile", "error"),
    [(9, 4.09, 0.01), (8, 4.28, 0.01), (7, 4.53, 0.01), (10**6, 3.0, 0.01), (5, 5.51, 0.03), (4, 6.62, 0.03)],
)
def test_few_seeds_are_granted_more_room(freedom: int, quantile: float, error: float) -> None:
    """Published quantiles of Student's t for 99.73 %, which is three deviations of a normal variable."""
    assert student(3.0, freedom) == pytest.approx(quantile, rel=error)


def test_the_ends_of_the_stored_runs_are_found_by_name() -> None:
    low, high = end_range(STORED, "true_facts")
    assert low == min(run["measures"]["true_facts"] for run in STORED.values) < high <= 1
