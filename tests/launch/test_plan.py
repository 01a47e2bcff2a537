"""The command that plans: what it prints, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aimv2_lab.fields import UnknownName
from aimv2_lab.launch.plan import plan, read_plan
from aimv2_lab.recipes import recipe
from aimv2_lab.training.plan.cost import assumed_rate, run_cost
from aimv2_lab.training.plan.gpus import GPUS, gpu_of

SOAP = ("--training.optimizer", "soap")


def printed(*arguments: str) -> str:
    return plan(read_plan(arguments))


def test_the_papers_large_model_on_sixty_four_gpus() -> None:
    text = printed("--recipe", "aimv2-large-224", "--gpu", "h100", "--gpus", "64", "--price", "2")
    assert text.startswith("aimv2-large-224 on 64 x H100 SXM 80 GB: ZeRO stage 1, float32 weights, batch 64 ranks x 1")
    assert "weights            2.12 GB" in text and "of 72.0 (90% of the GPU's)" in text
    assert "275.9 GFLOP" in text
    rate, days, hours, money = (
        float(found.replace(",", ""))
        for found in re.search(
            r"assumed: utilisation 0.45, ([\d,]+) images/s a GPU.*\n  ([\d.]+) days, ([\d,]+) GPU-hours, ([\d,]+)", text
        ).groups()  # type: ignore[union-attr]
    )
    assert rate == pytest.approx(0.45 * 989e12 / (3 * 275.9e9), abs=1)
    assert hours == pytest.approx(1.5e6 * 8192 / rate / 3600, rel=3e-3)
    assert days == pytest.approx(hours / 64 / 24, abs=0.06) and money == pytest.approx(2 * hours, abs=1)


def test_a_measured_rate_is_planned_with_beside_the_assumed_one() -> None:
    options = ("--recipe", "aimv2-large-224", "--gpus", "64")
    text = printed(*options, "--measured", "598")
    assert "measured: utilisation 0.50, 598 images/s a GPU" in text and "assumed:" in text
    assert "measured:" not in printed(*options)


def test_what_the_optimizer_keeps_is_told_by_its_name() -> None:
    options = ("--recipe", "aimv2-large-224", "--engine.zero-stage", "0", "--training.micro-batch-size", "64")
    rows = [re.search(r"optimizer +([\d.]+) GB  (\w+)", printed(*options, *more)) for more in ((), SOAP)]
    (adam, soap) = (row.groups() for row in rows if row)
    assert (adam[1], soap[1]) == ("Adam", "SOAP") and float(soap[0]) > 2 * float(adam[0])


def test_what_cannot_fit_is_refused_with_the_change_that_makes_it_fit() -> None:
    options = ("--recipe", "aimv2-3b-224", "--gpus", "64")
    with pytest.raises(ValueError, match=r"a rank needs 1\d\d\.\d GB.*: --training.micro-batch-size \d+$") as refused:
        printed(*options)
    change = str(refused.value).rpartition(": ")[2].split()
    assert "peak" in printed(*options, *change)


def test_what_fits_in_no_way_is_refused() -> None:
    with pytest.raises(ValueError, match="makes it fit: take more GPUs or larger ones"):
        printed("--recipe", "aim-7b", "--gpus", "1", "--gpu", "a100-40gb", "--encoder.depth", "200")


def test_recomputed_blocks_slow_a_step_by_their_share() -> None:
    plain = recipe("aimv2-large-224")
    again = plain.change({"engine.activation_checkpointing": True})
    rates = [assumed_rate(known, GPUS["h100"], 0.45) for known in (plain, again)]
    assert rates[1] / rates[0] == pytest.approx(3 / (3 + 269.6 / 275.9), rel=1e-3)
    cost = run_cost(again, GPUS["h100"], 64, rates[1], 1.0)
    assert cost.utilisation < 0.45 and cost.days > run_cost(plain, GPUS["h100"], 64, rates[0], 1.0).days


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "tiny"), "tiny computes in float32; plans are for --training.precision bfloat16"),
        (("--recipe", "aimv2-large-224", "--gpus", "48"), "cannot be cut into 48 ranks"),
        (("--recipe", "aimv2-large-224", "--training.optimizer", "soap"), "'soap' with engine.zero_stage = 1"),
    ],
)
def test_plans_that_mean_nothing_are_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        printed(*arguments)


def test_an_unknown_gpu_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(UnknownName, match="unknown GPU 'h20'; did you mean h200"):
        gpu_of("h20")


def test_a_utilisation_above_one_is_refused() -> None:
    with pytest.raises(SystemExit):
        read_plan(["--recipe", "aimv2-large-224", "--utilisation", "45"])


def test_the_readme_shows_what_the_command_prints() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    shown = re.search(r"launch\.plan (.*)\n```\n\n```\n(.*?)\n```", readme, flags=re.DOTALL)
    assert shown is not None
    assert printed(*shown[1].split()) == shown[2]
