"""Native batches: every picture in its step's area, the same for any ranks, workers and start; strips and padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor

from aimv2_lab.data.batch import Batch
from aimv2_lab.data.images import decode_image
from aimv2_lab.data.native.batch import NativeBatch
from aimv2_lab.data.native.dataset import NativeDataset, native_batches
from aimv2_lab.data.native.pictures import native_evaluation_picture, strip_of
from tests.data.generated import encoded, picture
from tests.native_toy import NATIVE, native_dataset


def parts(
    dataset: NativeDataset, steps: int, rank: int = 0, ranks: int = 1, first: int = 0, workers: int = 0
) -> list[NativeBatch]:
    found = native_batches(dataset, first, steps, workers, rank, ranks)
    return [batch for batch in found if isinstance(batch, NativeBatch)]


def samples(batches: Sequence[NativeBatch]) -> list[tuple[Any, ...]]:
    """What a model sees of every pair, without the padding that depends on its neighbours."""
    size = NATIVE.encoder.patch_size
    return [
        (
            batch.keys[row],
            batch.columns[row].item(),
            batch.pictures[row, :, :, : int(count) * size].numpy().tobytes(),
            batch.tokens[row][batch.counted[row]].tolist(),
            batch.prefix_lengths[row].item(),
        )
        for batch in batches
        for row, count in enumerate(batch.patch_counts)
    ]


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_ranks_parts_are_the_whole_batch_in_order(ranks: int) -> None:
    dataset = native_dataset(damaged=(3, 40))
    whole = parts(dataset, 14)
    cut = [parts(dataset, 14, rank, ranks) for rank in range(ranks)]
    for step, batch in enumerate(whole):
        of_ranks = [of_rank[step] for of_rank in cut]
        assert samples(of_ranks) == samples([batch])
        assert len(batch) == dataset.areas.images(step)
        assert max(map(len, of_ranks)) - min(map(len, of_ranks)) <= 1
        assert {part.stands_for for part in of_ranks} == {16 // ranks}
        assert [one for part in of_ranks for one in part.replaced] == [*batch.replaced]
    assert any(batch.replaced for batch in whole)
    assert any(len(batch) % ranks > ranks // 2 - 1 for batch in whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_at_any_step_with_any_workers(workers: int) -> None:
    whole = parts(native_dataset(), 7)
    later = parts(native_dataset(), 4, first=3, workers=workers)
    assert samples(later) == samples(whole[3:])
    assert native_dataset().samples_before(3) == sum(map(len, whole[:3]))


def test_every_picture_fits_its_steps_area_in_its_own_ratio() -> None:
    dataset, ratios = native_dataset(), set()
    for step, batch in enumerate(parts(dataset, 30)):
        area = dataset.areas.area(step)
        assert int(batch.patch_counts.max()) <= area
        assert batch.pictures.shape[3] == int(batch.patch_counts.max()) * 8  # and no wider than is needed
        for count, columns in zip(batch.patch_counts.tolist(), batch.columns.tolist(), strict=True):
            assert count % columns == 0
            ratios.add(count // columns / columns)
    assert min(ratios) < 0.4 and max(ratios) > 2.5
    areas = {dataset.areas.area(step) for step in range(30)}
    assert len(areas) > 10


def test_prefixes_are_uniform_over_the_patches_that_a_picture_has() -> None:
    batches = parts(native_dataset({"training.batch_size": 128}), 12)
    lengths = torch.cat([batch.prefix_lengths for batch in batches])
    counts = torch.cat([batch.patch_counts for batch in batches])
    assert bool(((lengths >= 1) & (lengths < counts)).all())
    share = ((lengths - 0.5) / (counts - 1)).double()
    assert abs(float(share.mean()) - 0.5) < 0.03
    assert bool((lengths[counts == 6].unique() == torch.arange(1, 6)).all())
    assert batches[0].counted_patches(9) == int((counts - lengths)[: len(batches[0])].sum())


def image_of(batch: NativeBatch, row: int) -> Tensor:
    """The picture behind a strip, normalised: (3, height, width)."""
    count, columns = int(batch.patch_counts[row]), int(batch.columns[row])
    strip = batch.images[row, :, :, : count * 8]
    return rearrange(strip, "c p (rows columns q) -> c (rows p) (columns q)", columns=columns, q=8)


def test_a_strip_holds_the_picture_patch_by_patch() -> None:
    dataset = native_dataset({"data.crop_scale": (1.0, 1.0), "data.crop_ratio": (1.0, 1.0)})
    (batch,) = parts(dataset, 1)
    for row in range(len(batch)):
        pair = dataset.source[int(batch.keys[row].removeprefix("pair-"))]
        _, height, width = image_of(batch, row).shape
        true = np.asarray(decode_image(pair.image, "").resize((width, height), 3)).astype(float)
        levels = 255 * (image_of(batch, row).numpy() * np.array(NATIVE.data.std)[:, None, None])
        found = levels + 255 * np.array(NATIVE.data.mean)[:, None, None]
        assert np.abs(found - true.transpose(2, 0, 1)).mean() < 1.5


def test_crops_keep_the_pictures_own_ratio() -> None:
    whole = native_dataset({"data.crop_scale": (0.3, 1.0), "data.crop_ratio": (1.0, 1.0)})
    shapes = {batch.keys[row]: image_of(batch, row).shape for batch in parts(whole, 1) for row in range(len(batch))}
    for key, (_, height, width) in shapes.items():
        image = decode_image(whole.source[int(key.removeprefix("pair-"))].image, key)
        assert abs(np.log(width / height) - np.log(image.width / image.height)) < np.log(2.1)


def test_padding_that_is_seen_fills_the_area_with_zeros() -> None:
    dataset = native_dataset({"resolution.padding": "seen"})
    for step, batch in enumerate(parts(dataset, 5)):
        area = dataset.areas.area(step)
        assert batch.patch_counts.tolist() == [area] * len(batch)
        assert batch.counted_patches(9) == int((area - batch.prefix_lengths).sum())
        left = area % batch.columns  # where the last row is not whole, what remains is padding for sure
        row = int(left.argmax())
        if left[row]:
            assert float(batch.images[row, :, :, -int(left[row]) * 8 :].abs().max()) < 0.5 / 255 / 0.25


def test_validation_is_of_one_area_and_the_same_for_every_seed() -> None:
    found = [native_dataset({"training.seed": seed}, training=False)[3] for seed in (0, 1)]
    assert torch.equal(found[0].picture, found[1].picture) and found[0].prefix_length == found[1].prefix_length
    held_out = native_dataset(training=False)
    batch = held_out.collate([held_out[position] for position in range(40)])
    assert 7 <= int(batch.patch_counts.max()) <= 9


def test_micro_batches_are_of_like_size_and_carry_everything_once() -> None:
    dataset = native_dataset(damaged=(3, 40))
    for batch in parts(dataset, 5, rank=1, ranks=2):
        micro: list[Batch] = list(batch.split(4))
        held = [part for part in micro if isinstance(part, NativeBatch)]
        assert len(held) == len(micro) == 2
        assert sorted(key for part in held for key in part.keys) == sorted(batch.keys)
        assert {*map(len, held)} <= {len(batch) // 2, len(batch) // 2 + 1}
        assert [one for part in held for one in part.replaced] == [*batch.replaced]
        assert sum(part.counted_patches(0) for part in held) == batch.counted_patches(0)
        for part in held:
            assert part.pictures.shape[3] == int(part.patch_counts.max()) * 8
        assert sorted(samples(held)) == sorted(samples([batch]))
    with pytest.raises(ValueError, match=r"4 pictures cannot be cut into 16 micro-batches"):
        small = parts(dataset, 1)[0].rows(torch.arange(4))
        replace(small, stands_for=16).split(1)
    with pytest.raises(ValueError, match=r"16 cannot be cut into 8 ranks \(this is 0\) x .* = 4"):
        native_batches(dataset, 0, 1, 0, rank=0, world_size=8)


def test_evaluation_pictures_fit_too() -> None:
    image = decode_image(encoded(picture(0, 90, 30)), "")
    found = native_evaluation_picture(image, 27, 8)
    assert found.shape == (3, 24, 72)
    assert torch.equal(strip_of(found, 8)[:, :, 8:16], found[:, :8, 8:16])
    assert torch.equal(strip_of(found, 8)[:, :, 9 * 8 : 10 * 8], found[:, 8:16, :8])
