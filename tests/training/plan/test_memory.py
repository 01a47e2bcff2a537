"""The planned memory is what a step holds, and what ZeRO's stages hold on two ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aimv2_lab.model.aimv1 import HeadBlock
from aimv2_lab.model.layers import Block
from aimv2_lab.recipes import PretrainingRecipe, Recipe, recipe
from aimv2_lab.training.plan.activations import Activations, Kept, count_activations
from aimv2_lab.training.plan.estimate import predict_memory
from aimv2_lab.training.plan.memory import RankMemory, parameter_count, rank_memory
from benchmarks.memory_plan import CPU, local, measured_peak, planned_peak

PSI = 1_000_000  # parameters
NOTHING = Activations(Kept(0, 0), Kept(0, 0))


@pytest.mark.parametrize(("name", "micro_batch", "micro_steps"), [("tiny", 8, 1), ("tiny", 4, 3), ("aim-tiny", 8, 1)])
def test_the_peak_of_a_step_is_planned_within_a_tenth(name: str, micro_batch: int, micro_steps: int) -> None:
    known = local(name, micro_batch, micro_steps)
    assert 0.9 < planned_peak(known, fused_norms=False) / measured_peak(known, CPU) < 1.1


@pytest.mark.parametrize("optimizer", ["soap", "muon"])
def test_each_optimizer_holds_what_it_keeps(optimizer: str) -> None:
    """Of one picture the optimizer's state is the most: SOAP's is five times Adam's here, Muon's less."""
    known = local("tiny", 1, 1).change({"training.optimizer": optimizer})
    measured = measured_peak(known, CPU)
    assert 0.95 < planned_peak(known, fused_norms=False) / measured < 1.05
    assert not 0.95 < planned_peak(local("tiny", 1, 1), fused_norms=False) / measured < 1.05


@pytest.mark.parametrize("name", ["tiny", "aim-tiny"])
def test_the_peak_of_a_recomputed_step_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = local(name, 32, 1).change({"encoder.depth": 8})
    again = known.change({"engine.activation_checkpointing": True})
    whole, less = (planned_peak(planned, fused_norms=False) for planned in (known, again))
    for block in (Block, HeadBlock):
        monkeypatch.setattr(block, "forward", partialmethod(recomputed, block.forward))
    assert 0.9 < less / measured_peak(known, CPU) < 1.1
    assert less < 0.75 * whole


def recomputed(block: nn.Module, forward: Callable[..., Tensor], *given: Any, **named: Any) -> Tensor:
    return checkpoint(forward, block, *given, use_reentrant=False, **named)


@pytest.mark.parametrize("name", ["small", "aim-tiny"])
def test_shallow_models_tell_what_deep_ones_keep(name: str) -> None:
    """Counting block by block gives what counting the whole model gives, masks and logit gradients aside."""
    known: PretrainingRecipe = recipe(name)
    counted = count_activations(known, fused_norms=False).whole
    micro, patches = known.training.micro_batch_size, known.encoder.patches
    aside = 4 * patches**2 * known.encoder.depth
    aside += 4 * known.text_tokens * known.decoder.vocabulary if isinstance(known, Recipe) else 0
    assert counted.fixed + (counted.per_picture - aside) * micro == pytest.approx(
        predict_memory(known).activations, rel=1e-3
    )


def test_recomputed_blocks_keep_their_input_and_one_block_at_a_time() -> None:
    four, eight = (count_activations(recipe("small", {"encoder.depth": depth})) for depth in (4, 8))
    encoder = recipe("small").encoder
    assert (eight.recomputed.per_picture - four.recomputed.per_picture) == 4 * 4 * encoder.patches * encoder.width
    assert eight.recomputed.per_picture < eight.whole.per_picture / 2


def test_fused_norms_and_half_precision_keep_less() -> None:
    known = recipe("small")
    plain, fused = (count_activations(known, fused_norms=fused).whole.per_picture for fused in (False, True))
    half = count_activations(recipe("small", {"training.precision": "bfloat16"})).whole
    assert half.per_picture < 0.75 * fused < 0.75 * plain
    table = known.decoder.vocabulary * known.decoder.width  # is looked up, not multiplied
    assert half.fixed == pytest.approx(2 * (parameter_count(known) - table), rel=0.01)  # the weights in bfloat16


def planned(stage: int, weights: str = "float32", ranks: int = 2, **changes: object) -> RankMemory:
    training = {"training.batch_size": 4 * ranks, "training.micro_batch_size": 2, "training.precision": "bfloat16"}
    engine = {f"engine.{name}": value for name, value in changes.items()}
    known = recipe("tiny", {**training, "engine.zero_stage": stage, "engine.weights": weights, **engine})
    return rank_memory(known, ranks, PSI, NOTHING)


def test_offload_moves_the_optimizer_and_then_the_weights_to_the_host() -> None:
    here, optimizer, everything = (planned(3, offload=to) for to in ("none", "optimizer", "all"))
    assert (here.host, optimizer.host, everything.host) == (0, here.optimizer, here.optimizer + here.weights)
    assert here.peak - here.optimizer == optimizer.peak == everything.peak + here.weights


def test_gradients_stand_beside_activations_where_micro_batches_are_added_up() -> None:
    held = Activations(Kept(7, 1_000_000), Kept(0, 0))
    once = recipe("tiny", {"training.batch_size": 4, "training.micro_batch_size": 4, "engine.zero_stage": 0})
    both = [rank_memory(known, 1, PSI, held) for known in (once, once.change({"training.micro_batch_size": 2}))]
    peaks = [memory.peak - memory.batch for memory in both]
    assert peaks == [12 * PSI + max(4 * PSI, 7 + 4_000_000), 12 * PSI + 4 * PSI + 7 + 2_000_000]


def test_the_batch_is_8_bit_and_of_it_a_micro_batch_is_normalised() -> None:
    """Of 64 pairs on four ranks, eight at a time, with 40 tokens and a prefix length each."""
    sizes = {"training.batch_size": 64, "training.micro_batch_size": 8, "engine.zero_stage": 0}
    known, pixels, words = recipe("tiny", sizes), 3 * 48 * 48, 8 * (40 + 1)
    half = known.change({"training.precision": "bfloat16"})
    found = [rank_memory(planned, 4, PSI, NOTHING).batch for planned in (known, half)]
    assert found == [(16 + 8) * (pixels + words), (16 + 8) * (pixels + words) + 8 * 4 * pixels]
    whole = rank_memory(known.change({"training.micro_batch_size": 16}), 4, PSI, NOTHING)
    assert whole.batch == 16 * (pixels + words)
    assert whole.peak == whole.weights + whole.optimizer + whole.gradients + whole.batch


@pytest.mark.parametrize(
    ("stage", "weights", "settings", "communication", "gathered"),
    [
        (1, "float32", {}, 4 * 500_000_000, 0),
        (1, "float32", {"reduce_bucket_size": 1000}, 4 * 1000, 0),
        (1, "bfloat16", {"reduce_bucket_size": 1000}, 0, 0),
        (2, "bfloat16", {"reduce_bucket_size": 1000, "overlap_comm": True}, 2 * 2 * 1000, 0),
        (2, "float32", {"contiguous_gradients": False}, 0, 0),
        (3, "float32", {"reduce_bucket_size": 1000, "overlap_comm": True}, 4 * 1000, 4 * PSI),
        (3, "float32", {"reduce_bucket_size": "auto", "stage3_max_live_parameters": 700}, 4 * 500_000_000, 4 * 700),
    ],
)
def test_a_users_own_settings_are_planned_with(
    stage: int, weights: str, settings: dict[str, object], communication: int, gathered: int, tmp_path: Path
) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"zero_optimization": settings}))
    memory = planned(stage, weights, deepspeed=str(file))
    assert (memory.communication, memory.gathered) == (communication, gathered)


@pytest.mark.parametrize("ranks", [0, 3, 64])
def test_a_batch_that_cannot_be_cut_is_refused(ranks: int) -> None:
    with pytest.raises(ValueError, match=f"training.batch_size = 32 cannot be cut into {ranks} ranks"):
        rank_memory(recipe("tiny"), ranks, PSI, NOTHING)
