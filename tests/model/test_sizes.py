"""Features of images of any size: together what they are alone, nothing cut off, memory that grows with the patches."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.sizes import LIKE, SLOTS, alike, strips_of, whole_patches
from aimv2_lab.recipes import EncoderRecipe
from tests.formats.encoders import FIXED, NATIVE, assert_close, wide_encoder

DRAWS = torch.Generator().manual_seed(0)
# From 112 to 4,096 patches of 14 pixels, and one of a single patch; every ratio.
GRIDS = [(8, 14), (16, 16), (64, 64), (14, 8), (20, 30), (30, 20), (4, 128), (15, 17), (1, 1), (32, 32), (60, 62)]


def image(rows: int, columns: int, more: tuple[int, int] = (0, 0)) -> Tensor:
    return torch.randn(3, 14 * rows + more[0], 14 * columns + more[1], generator=DRAWS)


@torch.no_grad()
def test_a_list_of_images_gives_what_each_gives_alone() -> None:
    encoder = wide_encoder(NATIVE, head=True)
    images = [image(*grid) for grid in GRIDS]
    for layer, normed in ((None, True), (2, False)):
        together = encoder.features(images, layer, normed)
        for one, found, grid in zip(images, together, GRIDS, strict=True):
            alone = encoder.features(one[None], layer, normed)
            assert found.dense.shape == (1, *grid, 64)
            assert_close(found.dense, alone.dense)
            assert_close(found.mean, alone.mean)
            assert (found.pooled is None) == (alone.pooled is None) == (layer is not None)
            if found.pooled is not None and alone.pooled is not None:
                assert_close(found.pooled, alone.pooled)


@torch.no_grad()
def test_some_are_computed_together_and_padding_reaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, batches = wide_encoder(NATIVE), list[int]()
    stream = VisionEncoder.strip_stream

    def noted(self: VisionEncoder, images: Tensor, *others: object) -> object:
        batches.append(len(images))
        return stream(self, images, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(VisionEncoder, "strip_stream", noted)
    images = [image(*grid) for grid in ((4, 10), (10, 4), (3, 13), (9, 9), (19, 2))]
    found = encoder.features(images)
    assert batches == [1, 4]

    def filled(some: list[Tensor], size: int) -> object:
        stacked, lie = strips_of(some, size)
        width = lie.patch_counts * size
        padding = torch.arange(stacked.shape[3]) >= width[:, None]
        return stacked.masked_fill(padding[:, None, None], 1e4), lie

    monkeypatch.setattr("aimv2_lab.model.encoder.strips_of", filled)
    for one, other in zip(encoder.features(images), found, strict=True):
        assert torch.equal(one.dense, other.dense)


def test_images_computed_together_are_alike_and_bounded() -> None:
    draws = torch.randint(1, 65, (300, 2), generator=DRAWS)
    grids = [(int(rows), int(columns)) for rows, columns in draws]
    counts, seen = [rows * columns for rows, columns in grids], list[int]()
    for group in alike(grids):
        held = [counts[number] for number in group]
        assert min(held) >= LIKE * max(held) and (len(held) * max(held) <= SLOTS or len(held) == 1)
        seen += group
    assert sorted(seen) == list(range(300))
    assert list(alike([])) == []


@torch.no_grad()
def test_sides_that_fill_no_patch_are_resized_to_the_nearest_and_not_cut() -> None:
    encoder = wide_encoder(NATIVE)
    wanted = image(7, 11, (-1, -3))  # 97 x 151: 6.9 and 10.8 patches
    resized = functional.interpolate(wanted[None], (98, 154), mode="bicubic", antialias=True)
    (found,) = encoder.features([wanted])
    assert torch.equal(whole_patches(wanted, 14), resized[0])
    assert found.dense.shape == (1, 7, 11, 64) and torch.equal(found.dense, encoder.features(resized).dense)
    exact = image(3, 4)
    assert whole_patches(exact, 14) is exact
    border = torch.zeros(3, 20, 20)
    border[:, :, -4:] = 1.0  # lost where the remainder is cut away
    assert float(whole_patches(border, 14).max()) > 0.5
    with pytest.raises(ValueError, match=r"20 x 20|height 20 is not a multiple"):
        encoder.features(border[None])  # a batch is not resized, but refused as ever


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_an_encoder_of_another_type_resizes_too(dtype: torch.dtype) -> None:
    encoder, wanted = wide_encoder(NATIVE).to(dtype), image(7, 11, (-1, -3)).to(dtype)
    wide = wanted.double() if dtype is torch.float64 else wanted.float()
    resized = functional.interpolate(wide[None], (98, 154), mode="bicubic", antialias=True).to(dtype)
    (found,) = encoder.features([wanted])
    assert found.dense.dtype is dtype and found.dense.shape == (1, 7, 11, 64)
    assert torch.equal(found.dense, encoder.features(resized).dense)


def test_what_cannot_be_read_is_refused_with_the_remedy() -> None:
    table = wide_encoder(FIXED)
    with pytest.raises(
        ValueError, match=r"56 x 84 do not fit .* table for 56 x 56; .* load the encoder with image_size"
    ):
        table.features([image(4, 4), image(4, 6)])
    same = [image(4, 4) for _ in range(3)]
    for one, found in zip(same, table.features(same), strict=True):
        assert_close(found.dense, table.features(one[None]).dense)
    with pytest.raises(ValueError, match=r"must be float \(3, height, width\), not torch.uint8"):
        table.features([torch.zeros(3, 56, 56, dtype=torch.uint8)])
    with pytest.raises(ValueError, match="layer = 9"):
        table.features(same, layer=9)
    assert table.features([]) == []


SLIM = EncoderRecipe(image_size=224, width=64, depth=2, heads=8, hidden=128, positions="sincos")


def allocations(call: Callable[[], object]) -> list[int]:
    """Bytes of everything allocated (freed: below zero) during a call, inside kernels too, in order; and that the
    kernel of attention was a fused one."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    names = {event.name for event in seen.events()}
    assert any("flash_attention_for_cpu" in name for name in names)
    assert not any("scaled_dot_product_attention_math" in name for name in names)
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    found = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    return [event.nbytes() for event in sorted(found, key=lambda event: event.start_ns())]


@torch.no_grad()
@pytest.mark.parametrize("listed", [False, True])
def test_memory_of_inference_grows_with_the_patches_and_not_with_their_square(listed: bool) -> None:
    encoder, peaks = VisionEncoder(SLIM).eval(), list[int]()
    for size in (32, 64) if listed else (16, 32, 64):  # 256, 1,024 and 4,096 patches
        one = image(size, size)
        like = one[:, :, 14 * size // 32 :]  # near enough to be computed with it
        found = allocations(lambda one=one, like=like: encoder.features([one, like] if listed else one[None]))  # type: ignore[misc]
        peaks.append(max(accumulate(found)))
    assert all(more < 4.2 * less for less, more in pairwise(peaks))
    assert peaks[-1] < (2 if listed else 1) * 8 * 4096**2 * 4 / 10  # a tenth of the matrices of scores


@pytest.mark.parametrize("size", [32, 64])
def test_training_makes_one_mask_for_a_picture_and_no_matrix_of_scores(size: int) -> None:
    """At 448 px and at 4,096 patches."""
    encoder, patches = VisionEncoder(SLIM), size**2
    found = allocations(lambda: encoder(image(size, size)[None], torch.tensor([300])).sum().backward())
    masks, scores = {patches**2, 4 * patches**2}, 4 * 8 * patches**2  # as truth values, as numbers; eight heads
    assert max(found) in masks and max(accumulate(found)) < scores
