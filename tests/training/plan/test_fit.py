"""What does not fit is given the smallest change that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.recipes import recipe
from aimv2_lab.training.plan.activations import Activations, Kept
from aimv2_lab.training.plan.fit import changes_that_fit, possible_changes
from aimv2_lab.training.plan.memory import rank_memory

GB, RANKS, PSI = 10**9, 8, 2_000_000_000
KNOWN = recipe("aimv2-1b-224", {"training.micro_batch_size": 32})
KEPT = Activations(Kept(0, GB), Kept(0, GB // 10))


@pytest.mark.parametrize(
    ("room", "changes"),
    [
        (60, {}),
        (50, {"training.micro_batch_size": 16}),
        (22.2, {"training.micro_batch_size": 1}),
        (21.7, {"training.micro_batch_size": 4, "engine.activation_checkpointing": True}),
        (16.2, {"training.micro_batch_size": 2, "engine.zero_stage": 2}),
        (12.2, {"training.micro_batch_size": 1, "engine.zero_stage": 3}),
        (9.2, {"training.micro_batch_size": 1, "engine.zero_stage": 3, "engine.offload": "optimizer"}),
    ],
)
def test_changes_come_in_their_order(room: float, changes: dict[str, Any]) -> None:
    assert changes_that_fit(KNOWN, RANKS, PSI, KEPT, room * GB) == changes


def test_every_possible_change_is_a_recipe_that_can_be_planned_and_none_comes_twice() -> None:
    tried = [str(sorted(changes.items())) for changes in possible_changes(KNOWN)]
    assert tried[0] == "[]" and len(tried) == len(set(tried))
    for changes in possible_changes(KNOWN):
        assert rank_memory(KNOWN.change(changes), RANKS, PSI, KEPT).peak > 0


def test_what_a_users_own_settings_fix_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text('{"zero_optimization": {"stage": 1}}')
    fixed = KNOWN.change({"engine.deepspeed": str(file)})
    found = changes_that_fit(fixed, RANKS, PSI, KEPT, 18.5 * GB)  # stage 2 would do
    assert found is not None and found["engine.offload"] == "optimizer" and "engine.zero_stage" not in found
    file.write_text('{"zero_optimization": {"stage": 2}}')
    with pytest.raises(ValueError, match=r"zero_optimization\.stage = 2 where the recipe says 1"):
        changes_that_fit(fixed, RANKS, PSI, KEPT, GB)


def test_what_preconditions_matrices_is_not_moved_to_a_stage_that_flattens_them() -> None:
    soap = KNOWN.change({"training.optimizer": "soap", "engine.zero_stage": 0})
    assert all("engine.zero_stage" not in changes for changes in possible_changes(soap))
    assert changes_that_fit(soap, RANKS, PSI, KEPT, 50 * GB, state=40 * GB) is None
    assert changes_that_fit(soap, RANKS, PSI, KEPT, 90 * GB, state=40 * GB) == {}


def test_what_is_on_already_is_not_proposed_again() -> None:
    known = KNOWN.change(
        {"engine.activation_checkpointing": True, "engine.zero_stage": 3, "training.micro_batch_size": 1}
    )
    assert list(possible_changes(known)) == [{}, {"engine.offload": "optimizer"}, {"engine.offload": "all"}]
    assert changes_that_fit(known, RANKS, PSI, KEPT, GB) is None
