"""What rival objectives draw for every position of a run: the same whatever the ranks, workers and batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from aimv2_lab.data.batches import PairDataset, batches
from aimv2_lab.recipes import MaskedImageRecipe, Rival, recipe, rival
from tests.data.generated import Bytes, ListSource

LENGTH = 23  # no multiple of the batch: epochs end inside batches


def dataset(name: Rival, training: bool = True, **changes: Any) -> PairDataset:
    small = recipe("tiny", {"encoder.image_size": 16, "encoder.patch_size": 4})
    known = rival(name, small).change({key.replace("__", "."): value for key, value in changes.items()})
    return PairDataset(ListSource(LENGTH), Bytes() if known.text_tokens else None, known, training)


def test_three_captions_of_four_are_predicted_at_once() -> None:
    data = dataset("cappa")
    drawn = [data[position].parallel for position in range(2000)]
    assert np.mean([bool(found) for found in drawn]) == pytest.approx(0.75, abs=0.03)
    assert drawn[:LENGTH] != drawn[LENGTH : 2 * LENGTH]  # drawn anew in every epoch
    assert drawn[:50] == [dataset("cappa")[position].parallel for position in range(50)]
    assert drawn[:50] != [dataset("cappa", training__seed=1)[position].parallel for position in range(50)]


def test_validation_predicts_captions_token_by_token_and_others_never_do_otherwise() -> None:
    (held_out,) = batches(dataset("cappa", training=False), 8, 0, 1, workers=0)
    (captions,) = batches(dataset("caption-only"), 8, 0, 1, workers=0)
    assert held_out.parallel is None and captions.parallel is None
    assert held_out.tokens.shape[1] < dataset("cappa").recipe.text_tokens  # padded to the longest alone


def test_captions_predicted_at_once_are_padded_alike_however_the_batch_is_cut() -> None:
    data = dataset("cappa")
    (batch,) = batches(data, 8, 0, 1, workers=0)
    assert batch.parallel is not None and batch.parallel.dtype == torch.bool
    assert batch.tokens.shape == batch.counted.shape == (8, data.recipe.text_tokens)
    assert batch.counted_tokens == sum(int(data[position].counted.sum()) for position in range(8))
    by_key = dict(zip(batch.keys, batch.parallel.tolist(), strict=True))
    for part in batch.split(3):
        assert part.parallel is not None and part.tokens.shape[1] == data.recipe.text_tokens
        assert [by_key[key] for key in part.keys] == part.parallel.tolist()


def test_masks_are_drawn_anew_at_every_visit_and_the_same_in_every_validation() -> None:
    data = dataset("masked-image")
    found = [order(data, position) for position in range(3 * LENGTH)]
    assert all(sorted(one) == list(range(16)) for one in found)
    assert len({tuple(one) for one in found}) == len(found)
    again, other = dataset("masked-image"), dataset("masked-image", training__seed=1)
    assert found[:5] == [order(again, position) for position in range(5)]
    assert found[0] != order(other, 0)
    held_out = (dataset("masked-image", training=False, training__seed=seed) for seed in (0, 1))
    first, second = ([order(one, position) for position in range(5)] for one in held_out)
    assert first == second


def order(data: PairDataset, position: int) -> list[int]:
    found = data[position].patch_order
    assert found is not None
    return list(found.tolist())


def test_every_patch_is_hidden_equally_often() -> None:
    data = dataset("masked-image")
    assert isinstance(data.recipe, MaskedImageRecipe)
    hidden = np.concatenate([order(data, position)[data.recipe.visible_patches :] for position in range(2000)])
    shares = np.bincount(hidden, minlength=16) / 2000
    assert np.abs(shares - 0.75).max() < 0.04


@pytest.mark.parametrize("name", ["cappa", "masked-image"])
def test_ranks_workers_and_cuts_draw_the_same(name: Rival) -> None:
    (whole,) = batches(dataset(name), 8, 16, 1, workers=0)
    parts = [next(batches(dataset(name), 8, 16, 1, workers=1, rank=rank, world_size=2)) for rank in range(2)]
    for field in ("parallel", "patch_order", "tokens"):
        expected = getattr(whole, field)
        if expected is not None:
            assert torch.equal(torch.cat([getattr(part, field) for part in parts]), expected)
    cut = list(whole.split(3))
    if whole.patch_order is not None:
        assert torch.equal(
            torch.cat([part.patch_order for part in cut if part.patch_order is not None]), whole.patch_order
        )
        assert (whole.counted_patches(16), whole.tokens.shape) == (0, (8, 0))


@pytest.mark.parametrize("name", ["cappa", "masked-image"])
def test_rivals_see_the_same_pictures_in_the_same_views(name: Rival) -> None:
    """What they draw besides comes from streams of its own."""
    (found,) = batches(dataset(name, data__flip_probability=0.5), 8, 0, 1, workers=0)
    (expected,) = batches(dataset("caption-only", data__flip_probability=0.5), 8, 0, 1, workers=0)
    assert found.keys == expected.keys and torch.equal(found.pictures, expected.pictures)
