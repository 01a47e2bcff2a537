"""Each mistake between ranks is the one it says, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from aimv2_lab.lessons.rank_mistakes import AveragingEngine, drawn_prefixes
from aimv2_lab.training.loop import build_model, local_engine
from aimv2_lab.training.ranks import ALONE
from aimv2_lab.training.step import loss_counts, train_step
from tests.training.toy import SMALL, random_batch


def test_ranks_of_one_seed_draw_alike_and_others_apart() -> None:
    alike, apart = (drawn_prefixes(4, 3, 16, 50, same_seed) for same_seed in (True, False))
    assert alike.shape == apart.shape == (50, 12)
    for lengths in (alike, apart):
        assert set(np.unique(lengths)) == set(range(1, 16))
    first, *others = np.split(alike, 4, axis=1)
    assert all(np.array_equal(first, other) for other in others)
    assert not np.array_equal(apart[:, :3], apart[:, 3:6])


def test_averaged_gradients_are_a_part_of_the_right_ones_and_the_losses_are_the_same() -> None:
    batch = random_batch(0)
    counts = loss_counts(batch, SMALL)
    right = train_step(local_engine(build_model(SMALL), SMALL, ALONE), batch, counts, SMALL)
    averaged = train_step(AveragingEngine(build_model(SMALL), SMALL, parts=4), batch, counts, SMALL)
    assert averaged.total == right.total
    assert averaged.gradient_norm.item() == pytest.approx(right.gradient_norm.item() / 4, rel=1e-5)
