"""What DeepSpeed would refuse in the middle of a start, or pass over, is named before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.training.sharded.refusals import check_users_settings, refused_by_name
from tests.training.toy import SMALL


def check(folder: Path, settings: Any) -> None:
    file = folder / "deepspeed.json"
    file.write_text(json.dumps(settings))
    check_users_settings(SMALL.change({"engine.deepspeed": str(file)}), ranks=1)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"zero_optimization": {"reduce_bucket": 5}}, "zero_optimization: reduce_bucket = 5: Extra inputs"),
        (
            {"zero_optimization": {"overlap_comm": "x"}},
            "zero_optimization: overlap_comm = 'x': Input should be a valid",
        ),
        ({"zero_optimisation": {}}, "zero_optimisation: DeepSpeed knows no such setting"),
        ({"wall_clock_breakdown": "yes"}, "wall_clock_breakdown: TypeError"),
        ({"flops_profiler": 3}, "flops_profiler: AttributeError"),
        ({"csv_monitor": []}, r"csv_monitor = \[\]: Input should be a valid dictionary"),
        ({"communication_data_type": "fp17"}, "communication_data_type: ValueError: Invalid communication_data_type"),
        ({"elasticity": {"enabled": True}}, "elasticity: DeepSpeedConfigError: Elastic training has been removed"),
        ({"wall_clock_breakdown": "yes", "typo": 1}, "wall_clock_breakdown: .*; typo: "),
    ],
)
def test_what_is_refused_is_named_with_its_key(settings: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=named) as stop:
        check(tmp_path, settings)
    assert "deepspeed.json' is refused by DeepSpeed: " in str(stop.value)
    assert "\n" not in str(stop.value)


def test_what_it_refuses_only_when_it_takes_a_model_over_names_the_file() -> None:
    def take_over() -> None:
        raise ValueError("loud is not one of the valid logging levels")

    with pytest.raises(ValueError, match=r"engine\.deepspeed = 'own\.json' asks: ValueError loud is not one"):
        refused_by_name(take_over, SMALL.change({"engine.deepspeed": "own.json"}))
    with pytest.raises(ValueError, match=r"\Aloud is not"):
        refused_by_name(take_over, SMALL)


def test_settings_that_deepspeed_takes_are_taken(tmp_path: Path) -> None:
    check(
        tmp_path,
        {
            "zero_optimization": {"stage": "auto", "reduce_bucket_size": 1000, "overlap_comm": True},
            "wall_clock_breakdown": True,
            "flops_profiler": {"enabled": True},
            "comms_logger": {"enabled": True},
            "csv_monitor": {"enabled": False},
            "gradient_predivide_factor": 1.0,
            "train_batch_size": "auto",
            "fp16": {"enabled": False},
        },
    )
