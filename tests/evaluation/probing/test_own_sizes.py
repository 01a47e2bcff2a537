"""Pictures probed at their own sizes: encoded together as alone, kept without padding, probed by every probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aimv2_lab.data.records import Pair
from aimv2_lab.data.transforms import normalise
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.padded import Padded
from aimv2_lab.evaluation.probing import cache
from aimv2_lab.evaluation.probing.cache import FEATURES, PATCH_COUNTS, cached_features
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.factors import FactorLabels
from aimv2_lab.evaluation.probing.growing import GrowingArray
from aimv2_lab.evaluation.probing.opening import open_factors
from aimv2_lab.evaluation.probing.parts import part_of
from aimv2_lab.evaluation.probing.pictures import LabelledPictures, Task, seen_batches
from aimv2_lab.evaluation.probing.run import Storing, probe_encoder
from aimv2_lab.evaluation.resolutions.toys import WORLD
from aimv2_lab.evaluation.resolutions.views import VIEWS
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes.probing import ProbeKind, ProbeRecipe, probe_recipe
from tests.evaluation.probing.small import OWN_SIZE, frozen, many_sizes, native, pictures
from tests.native_toy import NATIVE, ManySizes

# Groups of like size with and without padding, and one picture of a single patch.
GRIDS = [(4, 10), (9, 9), (10, 4), (3, 13), (1, 1), (19, 2)]
QUICK = ProbeRecipe(learning_rates=(1e-3, 1e-2), weight_decays=(0.0,), epochs=3, batch_size=16, neighbours=3)


def noise() -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    return [torch.randint(256, (3, 8 * rows, 8 * columns), generator=draws).byte() for rows, columns in GRIDS]


def features_alone(read: Frozen, labelled: LabelledPictures) -> list[Tensor]:
    found = [labelled[index].picture for index in range(len(labelled))]
    return [read(picture[None])[0] for picture in found if picture is not None]


KINDS: list[dict[str, object]] = [
    {},
    {"layers": (0, 2), "normed": False},
    {"layers": (1, 2)},
    {"pooled": True},
    {"precision": "bfloat16"},
]


@pytest.mark.parametrize("changes", KINDS)
def test_pictures_are_encoded_together_as_alone(changes: dict[str, object]) -> None:
    read = native(**changes)
    found, alone = read(noise()), [read(one[None])[0] for one in noise()]
    rough = 2e-2 if changes.get("precision") else 1e-5
    assert isinstance(found, Padded) == ("pooled" not in changes)
    if isinstance(found, Padded):
        assert found.patch_counts.tolist() == [rows * columns for rows, columns in GRIDS]
        assert found.features.shape == (6, 81, 32) and not found.features[~found.real].any()
        torch.testing.assert_close(found.patches, torch.cat(alone), rtol=rough, atol=rough)
    else:
        torch.testing.assert_close(found, torch.stack(alone), rtol=rough, atol=rough)


def test_some_are_computed_together_and_no_block_behind_the_last_layer_is() -> None:
    read, batches = native(layers=(1,)), list[int]()
    read.encoder.patch_projection.register_forward_hook(lambda _, inputs, output: batches.append(len(inputs[0])))
    read.encoder.blocks[1].register_forward_hook(lambda *_: pytest.fail("block 1 was computed"))
    read(noise())
    assert batches == [1, 4, 1]


def test_a_mean_of_a_picture_is_the_encoders_own() -> None:
    read = native(pooled=True)
    images = [normalise(one, read.scale) for one in noise()]
    expected = torch.cat([one.mean for one in read.encoder.features(images)])
    torch.testing.assert_close(read(noise()), expected.detach(), rtol=1e-5, atol=1e-5)


def test_pictures_that_no_whole_patches_fill_or_no_table_fits_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of"):
        native()([*noise(), torch.zeros(3, 20, 24, dtype=torch.uint8)])
    table = VisionEncoder(NATIVE.change({"encoder.positions": "learned", "resolution.batching": "fixed"}))
    with pytest.raises(ValueError, match=r"do not fit this encoder's position table for 24 x 24"):
        Frozen(table, native().scale)(noise())


def test_a_batch_is_stacked_where_all_pictures_have_one_size() -> None:
    mixed, same = many_sizes(), pictures(4)
    (batch,) = seen_batches(mixed, [np.array([0, 3, 5])], workers=0)
    assert isinstance(batch.pictures, list) and len(batch.pictures) == 3
    for row, index in enumerate((0, 3, 5)):
        picture = mixed[index].picture
        assert picture is not None and torch.equal(batch.pictures[row], picture)
    (batch,) = seen_batches(same, [np.arange(4)], workers=0)
    assert isinstance(batch.pictures, Tensor) and batch.pictures.shape == (4, 3, 24, 24)


@pytest.mark.parametrize("workers", [0, 1])
def test_features_are_kept_without_padding_whatever_the_batches(workers: int, tmp_path: Path) -> None:
    labelled = many_sizes(damaged=(0, 6))
    alone = features_alone(native(), labelled)
    for size in (1, 4, 64):
        found = cached_features(tmp_path / str(size), native(), labelled, size, workers, "float32", damage_limit=1.0)
        assert found.features.shape == (sum(map(len, alone)), 32) and isinstance(found.features, np.memmap)
        assert found.labels[:, 0].tolist() == [1, 0, 1, 0, 1, 1, 0, 1, 0] and len(found.damaged) == 2
        for rows in (np.arange(9), np.array([7, 2, 2, 0])):
            padded = found.rows(rows)
            assert isinstance(padded, Padded)
            assert padded.patch_counts.tolist() == [len(alone[row]) for row in rows]
            assert padded.features.shape[1] == max(len(alone[row]) for row in rows)
            torch.testing.assert_close(padded.patches, torch.cat([alone[row] for row in rows]), rtol=1e-5, atol=1e-5)


def test_only_patches_of_own_sizes_have_counts_and_they_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached_features(tmp_path / "own", native(), many_sizes())
    pooled = cached_features(tmp_path / "pooled", native(pooled=True), many_sizes(), dtype="float32")
    expected = torch.stack(features_alone(native(pooled=True), many_sizes()))
    torch.testing.assert_close(pooled.rows(np.arange(11)), expected, rtol=1e-5, atol=1e-5)
    cached_features(tmp_path / "one", frozen(), pictures())
    counted = [(tmp_path / name / PATCH_COUNTS).exists() for name in ("own", "pooled", "one")]
    assert counted == [True, False, False]
    monkeypatch.setattr(cache, "_write", lambda *_: pytest.fail("computed twice"))
    again = cached_features(tmp_path / "own", native(), many_sizes())
    assert (first.features == again.features).all() and again.patch_counts is not None
    assert (again.patch_counts == first.patch_counts).all()


def test_pictures_that_keep_their_size_and_have_one_are_told_apart_by_the_preprocessing_alone(tmp_path: Path) -> None:
    squares = replace(pictures(5), preprocessing=OWN_SIZE)
    found = cached_features(tmp_path / "f", native(), squares, batch_size=2, dtype="float32")
    assert found.patch_counts is not None and found.patch_counts.tolist() == [9] * 5
    alone = torch.stack(features_alone(native(), squares))
    padded = found.rows(np.arange(5))
    assert isinstance(padded, Padded)
    torch.testing.assert_close(padded.features, alone, rtol=1e-5, atol=1e-5)
    # As it was before pictures of many sizes could be kept: (N, I, D).
    (tmp_path / "f" / PATCH_COUNTS).unlink()
    np.save(tmp_path / "f" / FEATURES, alone.numpy())
    before = cached_features(tmp_path / "f", native(), squares, dtype="float32").rows(np.arange(5))
    assert isinstance(before, Tensor) and torch.equal(before, alone)


def test_lost_or_wrong_counts_are_refused(tmp_path: Path) -> None:
    counts = cached_features(tmp_path / "f", native(), many_sizes()).patch_counts
    assert counts is not None
    np.save(tmp_path / "f" / PATCH_COUNTS, counts[:-1])
    with pytest.raises(ValueError, match=rf"{counts[:-1].sum()} patches of 10 pictures, 11 labels\. Remove"):
        cached_features(tmp_path / "f", native(), many_sizes())
    (tmp_path / "f" / PATCH_COUNTS).unlink()
    with pytest.raises(ValueError, match=f"{PATCH_COUNTS} is missing"):
        cached_features(tmp_path / "f", native(), many_sizes())


def test_an_array_grows_into_the_file_that_numpy_writes(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((1100, 3, 2)).astype(np.float32)
    np.save(tmp_path / "whole.npy", rows)
    with GrowingArray(tmp_path / "grown.npy", rows.dtype) as grown:
        for part in np.array_split(rows, [1, 9, 9, 1000]):
            grown.append(part)
        with pytest.raises(ValueError, match=r"float32 \(2, 3\) behind rows of float32 \(3, 2\)"):
            grown.append(rows.reshape(-1, 2, 3))
        with pytest.raises(ValueError, match="float64"):
            grown.append(rows.astype(np.float64))
    assert (tmp_path / "grown.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def oblong(split: str, length: int) -> LabelledPictures:
    """As the comparison of resolutions sees them."""
    view = replace(VIEWS["native"], size=32)
    world = open_world(f"{WORLD}:{length}", split, view.size)
    return part_of(LabelledPictures(world, FactorLabels(world), view.preprocessing), np.arange(length))


@pytest.mark.parametrize("kind", ["attentive", "linear", "neighbours"])
def test_scenes_of_all_ratios_are_probed_at_their_own_size(kind: ProbeKind, tmp_path: Path) -> None:
    recipe, read = replace(QUICK, kind=kind), native(pooled=kind != "attentive")
    tests = {"validation": oblong("validation", 24), "heldout": oblong("heldout", 12)}
    found = probe_encoder(read, oblong("train", 40), tests, recipe, Storing(tmp_path))
    assert found.pictures["validation"] == 24 and not found.damaged and len(found.tasks) >= 10
    assert all(0 <= task.by_test["heldout"]["top1"].mean <= 1 for task in found.tasks)
    kept = [np.load(file) for file in tmp_path.glob(f"*/{PATCH_COUNTS}")]
    assert len(kept) == (4 if kind == "attentive" else 0)  # train, held out, and two tests
    every = np.concatenate([*kept, [16]])  # the view's area, in patches
    assert every.max() == 16 and (len({*every}) > 3) == (kind == "attentive")


class Wide:
    """Whether a picture is wider than high."""

    tasks = (Task("wide", ("no", "yes")),)

    def __call__(self, pair: Pair, index: int) -> Sequence[int]:
        number = int(pair.key.removeprefix("pair-"))
        return [int(number * 5 % 8 > number * 3 % 8)]


def test_the_attentive_probe_learns_what_the_shape_of_pictures_says(tmp_path: Path) -> None:
    recipe = replace(QUICK, learning_rates=(3e-2,), epochs=15, batch_size=32)
    train, test = (LabelledPictures(ManySizes(length), Wide(), OWN_SIZE) for length in (128, 40))
    (task,) = probe_encoder(native(), train, {"test": test}, recipe, Storing(tmp_path)).tasks
    assert task.by_test["test"]["top1"].mean > max(0.9, task.chance["test"])


def test_augmented_pictures_and_unpooled_neighbours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Name one with --image-size"):
        probe_encoder(native(), many_sizes(), {"test": many_sizes()}, probe_recipe("paper"), Storing(tmp_path))
    assert not list(tmp_path.iterdir())  # before anything is encoded
    with pytest.raises(ValueError, match="pooled=True"):
        probe_encoder(
            native(), many_sizes(), {"test": many_sizes()}, replace(QUICK, kind="neighbours"), Storing(tmp_path)
        )


def test_scenes_of_a_world_are_rendered_in_the_area_that_is_named() -> None:
    found = open_factors("world:oblong:8", OWN_SIZE, image_size=64)
    picture = found.train[0].picture
    assert picture is not None and 0.7 < picture[0].numel() / 64**2 < 1.4
    with pytest.raises(ValueError, match="name image_size"):
        open_factors("world:oblong:8", OWN_SIZE)
