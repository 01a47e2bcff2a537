"""Every engine field reaches DeepSpeed's configuration, and a user's file may add to it but not contradict it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.fields import leaves
from aimv2_lab.training.sharded.config import deepspeed_config, micro_steps
from tests.training.toy import SMALL

LARGER = SMALL.change({"training.batch_size": 32})
HALF = {"engine.weights": "bfloat16", "training.precision": "bfloat16"}


def config(ranks: int = 1, **engine: Any) -> dict[str, Any]:
    """The configuration's leaves for the recipe with these engine fields."""
    changes = {f"engine.{name}": value for name, value in engine.items()}
    return dict(leaves(deepspeed_config(LARGER.change(changes), ranks)))


@pytest.mark.parametrize(
    ("ranks", "micro", "steps"), [(1, 8, 4), (1, 16, 2), (2, 8, 2), (2, 16, 1), (4, 8, 1), (32, 1, 1)]
)
def test_the_batch_is_cut_as_deepspeed_demands(ranks: int, micro: int, steps: int) -> None:
    recipe = LARGER.change({"training.micro_batch_size": micro})
    made = deepspeed_config(recipe, ranks)
    assert made["gradient_accumulation_steps"] == micro_steps(recipe, ranks) == steps
    assert made["train_micro_batch_size_per_gpu"] == micro
    assert made["train_batch_size"] == ranks * micro * steps == 32


@pytest.mark.parametrize(
    ("ranks", "micro", "message"),
    [
        (3, 8, "32 cannot be cut into 3 ranks x training.micro_batch_size = 8: choose a multiple of 3 for the batch"),
        (8, 8, "into 8 ranks x training.micro_batch_size = 8: choose training.micro_batch_size = 4"),
        (2, 32, "choose training.micro_batch_size = 16"),
    ],
)
def test_a_batch_that_does_not_divide_names_what_would(ranks: int, micro: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deepspeed_config(LARGER.change({"training.micro_batch_size": micro}), ranks)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_stage_and_the_clip_are_the_recipes(stage: int) -> None:
    made = config(zero_stage=stage)
    assert made["zero_optimization.stage"] == stage
    assert made["gradient_clipping"] == LARGER.training.gradient_clip
    assert not [path for path in made if path.startswith(("bf16", "data_types")) or "offload" in path]


def test_offload_moves_the_optimizer_or_all() -> None:
    some, everything = config(zero_stage=2, offload="optimizer"), config(zero_stage=3, offload="all")
    assert some["zero_optimization.offload_optimizer.device"] == "cpu"
    assert "zero_optimization.offload_param.device" not in some
    assert everything["zero_optimization.offload_optimizer.device"] == "cpu"
    assert everything["zero_optimization.offload_param.device"] == "cpu"


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_half_precision_weights_add_up_gradients_in_float32_where_that_can_be_said(stage: int) -> None:
    made = deepspeed_config(LARGER.change(HALF | {"engine.zero_stage": stage}), 1)
    assert made["bf16"] == {"enabled": True}
    assert made.get("data_types") == ({"grad_accum_dtype": "fp32"} if stage == 1 else None)


def test_autocast_is_not_left_to_deepspeed() -> None:
    made = deepspeed_config(LARGER.change({"training.precision": "bfloat16"}), 1)
    assert not {"bf16", "fp16", "torch_autocast"} & {*made}


def with_file(folder: Path, settings: Any, **engine: Any) -> dict[str, Any]:
    file = folder / "deepspeed.json"
    file.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return config(deepspeed=str(file), **engine)


def test_a_users_settings_are_added_also_within_ours(tmp_path: Path) -> None:
    made = with_file(
        tmp_path,
        {
            "zero_optimization": {"stage": 2, "reduce_bucket_size": 1000, "overlap_comm": True},
            "wall_clock_breakdown": True,
            "flops_profiler": {"enabled": True},
        },
        zero_stage=2,
    )
    assert made["zero_optimization.reduce_bucket_size"] == 1000
    assert made["zero_optimization.overlap_comm"] is True
    assert made["wall_clock_breakdown"] is True
    assert made["flops_profiler.enabled"] is True
    assert made["zero_optimization.stage"] == 2
    assert made["train_batch_size"] == 32


def test_auto_stands_for_what_the_recipe_says(tmp_path: Path) -> None:
    auto = {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "zero_optimization": {"stage": "auto", "reduce_bucket_size": "auto"},
        "bf16": {"enabled": "auto"},
        "optimizer": "auto",
    }
    assert with_file(tmp_path, auto, zero_stage=2) == config(zero_stage=2)


def test_what_is_switched_off_is_no_conflict(tmp_path: Path) -> None:
    off = {
        "fp16": {"enabled": False},
        "bf16": {"enabled": False},
        "amp": {"enabled": False},
        "zero_optimization": {"offload_optimizer": {"device": "none"}, "offload_param": None},
    }
    assert with_file(tmp_path, off)["zero_optimization.stage"] == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"optimizer": {"type": "Adam"}}, r"optimizer \(use training\.optimizer"),
        ({"scheduler": {"type": "WarmupLR"}}, r"scheduler \(use training\.peak_lr"),
        ({"fp16": {"enabled": True}}, r"fp16 \(use training\.precision bfloat16\)"),
        ({"amp": {"enabled": True}}, r"amp \(use training\.precision"),
        ({"torch_autocast": {"enabled": True}}, r"torch_autocast \(use training\.precision"),
        ({"activation_checkpointing": {"cpu_checkpointing": True}}, r"use engine\.activation_checkpointing"),
        ({"compile": {"deepcompile": True}}, r"compile \(use engine\.compile\)"),
        ({"curriculum_learning": {"enabled": True}}, "curriculum_learning"),
        ({"data_efficiency": {"enabled": True}}, "data_efficiency"),
        ({"tensor_parallel": {"autotp_size": 2}}, r"tensor_parallel \(use engine\.zero_stage 3\)"),
        ({"hybrid_engine": {"enabled": True}}, "hybrid_engine"),
        ({"gradient_allreduce_op": "sum"}, 'gradient_allreduce_op = "sum" where the recipe says "mean"'),
        ({"train_batch_size": 64}, "train_batch_size = 64 where the recipe says 32"),
        ({"train_micro_batch_size_per_gpu": 4}, "train_micro_batch_size_per_gpu = 4 where the recipe says 8"),
        ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps = 1 where the recipe says 4"),
        ({"gradient_clipping": 0.5}, "gradient_clipping = 0.5 where the recipe says 1.0"),
        ({"zero_optimization": {"stage": 3}}, "zero_optimization.stage = 3 where the recipe says 1"),
        ({"bf16": {"enabled": True}}, r"bf16\.enabled, which the recipe leaves off"),
        ({"zero_optimization": {"offload_optimizer": {"device": "cpu"}}}, "offload_optimizer, which the recipe leaves"),
        ({"zero_optimization": {"offload_param": {"device": "nvme"}}}, "offload_param, which the recipe leaves off"),
        ({"zero_optimization": 3}, "zero_optimization = 3 where the recipe says"),
        ({"data_types": {"grad_accum_dtype": "bf16"}}, r"data_types\.grad_accum_dtype"),
        ("{", "is no JSON"),
        ([1], "must hold a JSON object, not list"),
    ],
)
def test_a_conflict_is_refused_by_name(settings: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=named) as stop:
        with_file(tmp_path, settings)
    assert "deepspeed.json" in str(stop.value)


def test_every_conflict_is_named_at_once(tmp_path: Path) -> None:
    settings = {"fp16": {"enabled": True}, "train_batch_size": 64, "zero_optimization": {"stage": 2}}
    with pytest.raises(ValueError, match=r"fp16.*train_batch_size = 64.*zero_optimization\.stage = 2"):
        with_file(tmp_path, settings)


def test_the_recipes_own_half_precision_cannot_be_switched_off(tmp_path: Path) -> None:
    file = tmp_path / "deepspeed.json"
    file.write_text(json.dumps({"bf16": {"enabled": False}}))
    with pytest.raises(ValueError, match=r"bf16\.enabled = false where the recipe says true"):
        deepspeed_config(LARGER.change(HALF | {"engine.deepspeed": str(file)}), 1)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        config(deepspeed=str(tmp_path / "nowhere.json"))
