"""A whole probing: it learns what is there, chooses by held-out pictures, and reads every picture once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aimv2_lab.data.damage import TooMuchDamage
from aimv2_lab.data.records import Pair
from aimv2_lab.evaluation.probing import cache
from aimv2_lab.evaluation.probing.epochs import AugmentedEpochs, CachedEpochs, epoch_batches
from aimv2_lab.evaluation.probing.parts import PartLabels, split_off
from aimv2_lab.evaluation.probing.pictures import LabelledPictures, Task
from aimv2_lab.evaluation.probing.run import Storing, probe_encoder
from aimv2_lab.recipes.probing import ProbeKind, ProbeRecipe
from tests.data.generated import ListSource, picture
from tests.evaluation.probing.small import SEEN, frozen, pictures

QUICK = ProbeRecipe(
    learning_rates=(1e-5, 3e-2), weight_decays=(0.0,), epochs=15, batch_size=32, selection_share=0.2, neighbours=5
)


class Redness:
    """Whether a picture is redder than most: a task that any features tell; and one that nothing tells."""

    tasks = (Task("red", ("no", "yes")), Task("coin", ("heads", "tails")))

    def __call__(self, pair: Pair, index: int) -> Sequence[int]:
        number = int(pair.key.removeprefix("pair-"))
        red, green, _ = np.asarray(picture(number), dtype=float).mean(axis=(0, 1))
        return [int(red > green), int(np.random.default_rng(number).integers(2)) if number % 3 else -100]


def labelled(length: int, damaged: Sequence[int] = ()) -> LabelledPictures:
    return LabelledPictures(ListSource(length, damaged), Redness(), SEEN)


@pytest.mark.parametrize("kind", ["attentive", "linear", "neighbours"])
def test_every_probe_learns_what_is_there(kind: ProbeKind, tmp_path: Path) -> None:
    recipe, read = replace(QUICK, kind=kind), frozen(pooled=kind != "attentive")
    test, train = split_off(labelled(220), 160 / 220)
    found = probe_encoder(read, train, {"test": test}, recipe, Storing(tmp_path), seeds=(0, 1))
    red, coin = found.tasks
    assert red.by_test["test"]["top1"].mean > 0.75 > red.chance["test"] + 0.1
    assert 0.25 < coin.by_test["test"]["top1"].mean < 0.75
    if kind == "neighbours":
        assert not red.chosen and red.by_test["test"]["top1"].reach is None
    else:
        assert red.chosen == ((3e-2, 0.0),) * 2 and all(one[1] > one[0] for one in red.grid)
        assert found.pictures == {"held out": 32, "train": 128, "test": 60}


class OtherCoins(Redness):
    """The same tasks, all labels of the coin and of redness turned round."""

    def __call__(self, pair: Pair, index: int) -> Sequence[int]:
        return [label if label < 0 else 1 - label for label in super().__call__(pair, index)]


def test_the_test_pictures_do_not_choose_the_cell(tmp_path: Path) -> None:
    """Many cells of about equal worth, so that any say of theirs would change the choice."""
    recipe = replace(QUICK, kind="linear", learning_rates=tuple(np.geomspace(1e-3, 3e-1, 12)), weight_decays=(0.0, 0.3))
    test, train = split_off(labelled(220), 160 / 220)
    other = replace(test, labels=PartLabels(OtherCoins(), test.labels.indices))  # type: ignore[attr-defined]
    right, turned = (
        probe_encoder(frozen(pooled=True), train, {"test": one}, recipe, Storing(tmp_path / name)).tasks
        for name, one in (("right", test), ("turned", other))
    )
    for one, same in zip(right, turned, strict=True):
        assert one.chosen == same.chosen == (recipe.cells[int(np.argmax(one.grid[0]))],)
        assert one.by_test["test"]["top1"].mean == pytest.approx(1 - same.by_test["test"]["top1"].mean)


def test_a_probe_of_augmented_pictures_encodes_them_anew_and_once_for_all_cells(tmp_path: Path) -> None:
    recipe, read = replace(QUICK, augmented=True, epochs=3), frozen()
    calls = list[int]()
    read.encoder.patch_projection.register_forward_hook(lambda _, inputs, output: calls.append(len(inputs[0])))
    found = probe_encoder(read, labelled(80), {"test": labelled(20)}, recipe, Storing(tmp_path, encoder_batch=100))
    assert calls == [20, 16] + [32, 32] * 3  # the test pictures and the held-out ones, then three epochs of two batches
    assert set(found.pictures) == {"held out", "test"}


def test_augmented_epochs_differ_and_are_drawn_by_seed_and_epoch() -> None:
    read, whole = frozen(), pictures(10, damaged=(3,))

    def features(seed: int, epoch: int, workers: int = 0) -> torch.Tensor:
        ((found, labels),) = AugmentedEpochs(read, whole, QUICK, seed, workers, 0.01)(epoch)
        assert isinstance(found, torch.Tensor) and len(found) == len(labels) == 9
        return found

    assert torch.equal(features(0, 0), features(0, 0, workers=1))
    assert not torch.equal(features(0, 0), features(0, 1)) and not torch.equal(features(0, 0), features(1, 0))


def test_augmented_epochs_are_refused_where_too_much_is_damaged() -> None:
    many = pictures(240, damaged=range(0, 240, 3))
    with pytest.raises(TooMuchDamage, match=r"above data\.damage_limit = 1\.00%"):
        list(AugmentedEpochs(frozen(), many, QUICK, 0, 0, 0.01)(0))
    with pytest.raises(ValueError, match="a whole batch cannot be used"):
        list(AugmentedEpochs(frozen(), pictures(4, damaged=range(4)), QUICK, 0, 0, 0.01)(0))


def test_cached_epochs_give_features_with_their_own_labels(tmp_path: Path) -> None:
    cached = cache.cached_features(tmp_path / "f", frozen(), pictures(70))
    epochs = CachedEpochs(cached, QUICK, 0, torch.device("cpu"))
    assert epochs.steps == 2
    whole = cached.rows(np.arange(70))
    assert isinstance(whole, torch.Tensor)
    for features, labels in epochs(0):
        rows = [int((whole - one).abs().flatten(1).sum(1).argmin()) for one in features]
        assert [row % 2 for row in rows] == labels[:, 0].tolist() and len(set(rows)) == 32


def test_every_epoch_is_another_order_of_full_batches() -> None:
    first, again, second, other = (epoch_batches(10, 4, *draw) for draw in ((0, 0), (0, 0), (0, 1), (1, 0)))
    assert [len(batch) for batch in first] == [4, 4] and len({*np.concatenate(first)}) == 8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second) and not np.array_equal(first, other)
    (all_in_one,) = epoch_batches(3, 4, 0, 0)
    assert sorted(all_in_one) == [0, 1, 2]


def test_the_held_out_part_is_the_same_always_and_in_no_batch() -> None:
    fitted, selection = split_off(pictures(50), 0.1)
    keys = [[part.source[index].key for index in range(len(part))] for part in (fitted, selection)]
    assert len(keys[1]) == 5 and sorted(keys[0] + keys[1]) == sorted(f"pair-{n}" for n in range(50))
    assert split_off(pictures(50), 0.1)[1].fingerprint == selection.fingerprint != fitted.fingerprint
    number = int(keys[1][2].removeprefix("pair-"))
    assert selection[2].labels is not None and selection[2].labels.tolist() == [number % 2]
    with pytest.raises(ValueError, match="1 training pictures"):
        split_off(pictures(1), 0.1)


def test_damaged_pictures_are_reported_by_part(tmp_path: Path) -> None:
    storing = Storing(tmp_path, damage_limit=0.5)
    found = probe_encoder(
        frozen(pooled=True), labelled(40, [1]), {"test": labelled(20, [2])}, replace(QUICK, kind="neighbours"), storing
    )
    assert {name: len(damaged) for name, damaged in found.damaged.items()} == {"train": 1, "test": 1}
    assert found.pictures == {"train": 39, "test": 19}
