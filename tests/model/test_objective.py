"""The objective: what counts, how far off it is, and that cutting a batch changes nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.objective import (
    LossCounts,
    Losses,
    counted_outputs,
    losses,
    pixel_errors,
    pixel_targets,
    text_errors,
)
from aimv2_lab.model.patches import patchify, standardise
from tests.model.tiny import (
    PATCH_VALUES,
    PATCHES,
    TOKENS,
    VOCABULARY,
    generator,
    images,
    wide_model,
)

PICTURES = images(4)
LENGTHS = torch.tensor([1, 8, 5, 2])
CAPTIONS = torch.stack([torch.randperm(VOCABULARY, generator=generator(seed))[:TOKENS] for seed in range(4)])
COUNTED = torch.arange(TOKENS) < torch.tensor([5, 1, 3, 2])[:, None]  # captions of different lengths, then padding
COUNTS = LossCounts(patches=int((PATCHES - LENGTHS).sum()), tokens=11)


def predictions(batch: int = 4) -> Predictions:
    """Any outputs, as leaves."""
    pixels = torch.randn(batch, PATCHES, PATCH_VALUES, generator=generator(7), requires_grad=True)
    return Predictions(pixels, torch.randn(batch, TOKENS, VOCABULARY, generator=generator(8), requires_grad=True))


def share(said: Predictions, cut: slice = slice(None), lengths: Tensor = LENGTHS, pixel_weight: float = 0.4) -> Losses:
    """The losses of a part of the batch above, divided by the counts of the whole."""
    return losses(said, PICTURES[cut], CAPTIONS[cut], COUNTED[cut], lengths[cut], COUNTS, pixel_weight, patch_size=2)


# What counts


def test_raw_targets_are_the_next_patches_as_they_are() -> None:
    targets = pixel_targets(PICTURES, 2, "raw")
    assert torch.equal(targets, patchify(PICTURES, 2)[:, 1:])
    said = predictions()
    raw = losses(said, PICTURES, CAPTIONS, COUNTED, LENGTHS, COUNTS, 0.4, patch_size=2, target="raw")
    expected = sum(
        (said.pixels[image, length - 1 : -1] - targets[image, length - 1 :]).square().mean(dim=-1).sum()
        for image, length in enumerate(LENGTHS.tolist())
    )
    torch.testing.assert_close(raw.pixel * COUNTS.patches, expected, check_dtype=False)
    assert raw.pixel != share(said).pixel


def test_a_batch_without_text_has_a_text_loss_of_zero() -> None:
    no_text = torch.empty(4, 0, dtype=torch.long)
    said = Predictions(predictions().pixels, torch.empty(4, 0, 1))
    found = losses(said, PICTURES, no_text, no_text.bool(), LENGTHS, COUNTS._replace(tokens=0), 1.0, patch_size=2)
    assert found.text == 0
    assert found.total == found.pixel == share(predictions()).pixel


def test_targets_are_the_next_patches_each_standardised_by_itself() -> None:
    patches = patchify(PICTURES, 2)
    targets = pixel_targets(PICTURES, 2)
    assert targets.shape == (4, PATCHES - 1, PATCH_VALUES)
    for output in range(PATCHES - 1):
        patch = patches[:, output + 1]
        expected = (patch - patch.mean(dim=1, keepdim=True)) / (patch.var(dim=1, keepdim=True) + 1e-6).sqrt()
        assert torch.allclose(targets[:, output], expected, rtol=0, atol=1e-12)


def test_outputs_from_one_before_the_prefix_end_count_and_predict_the_rest() -> None:
    counted = counted_outputs(torch.tensor([1, 2, 5, 8, 9]), PATCHES)
    first = [0, 1, 4, 7]  # M-1 … I-2
    assert [row.nonzero()[:, 0].tolist() for row in counted[:4]] == [list(range(start, 8)) for start in first]
    assert not counted[4].any()  # a prefix of I leaves nothing to predict


def test_perfect_predictions_cost_nothing_and_shifted_ones_do() -> None:
    next_patches = standardise(patchify(PICTURES, 2)).values.roll(-1, dims=1)
    logits = 50 * functional.one_hot(CAPTIONS, VOCABULARY).float()
    perfect = share(Predictions(next_patches, logits))
    assert perfect.pixel < 1e-10
    assert perfect.text < 1e-10
    shifted = share(Predictions(next_patches.roll(1, dims=1), logits.roll(1, dims=1)))
    assert shifted.pixel > 1
    assert shifted.text > 10


@pytest.mark.parametrize("length", [1, 4, 8])
def test_uncounted_outputs_get_exactly_no_gradient_and_counted_ones_some(length: int) -> None:
    said = predictions()
    share(said, lengths=torch.full((4,), length)).total.backward()
    assert said.pixels.grad is not None
    assert said.logits.grad is not None
    moved = said.pixels.grad.abs().sum(dim=-1) > 0
    assert torch.equal(moved, ((torch.arange(PATCHES) >= length - 1) & (torch.arange(PATCHES) < 8)).expand(4, -1))
    assert torch.equal(said.logits.grad.abs().sum(dim=-1) > 0, COUNTED)


def test_a_prefix_of_all_patches_leaves_only_the_text() -> None:
    said = predictions()
    got = losses(said, PICTURES, CAPTIONS, COUNTED, torch.full((4,), PATCHES), LossCounts(0, 11), 0.4, 2)
    got.total.backward()
    assert got.pixel == 0
    assert said.pixels.grad is not None
    assert not said.pixels.grad.any()
    assert got.total == got.text > 0


def test_without_captions_only_the_pixels_are_learned() -> None:
    said = Predictions(predictions().pixels, torch.empty(4, 0, VOCABULARY))
    none = torch.empty(4, 0)
    got = losses(said, PICTURES, none.long(), none.bool(), LENGTHS, LossCounts(COUNTS.patches, 0), 0.4, 2)
    assert got.text == 0
    assert got.total == 0.4 * got.pixel > 0


# How far off


def test_zero_predictions_cost_the_variance_of_a_standardised_patch() -> None:
    zero = Predictions(torch.zeros(4, PATCHES, PATCH_VALUES), torch.zeros(4, TOKENS, VOCABULARY))
    assert share(zero).pixel.item() == pytest.approx((PATCH_VALUES - 1) / PATCH_VALUES, abs=1e-5)
    assert share(zero).text.item() == pytest.approx(math.log(VOCABULARY))


def test_losses_are_the_means_over_what_counts_in_the_batch() -> None:
    said = predictions()
    targets = pixel_targets(PICTURES, 2)
    squares = [
        ((said.pixels[image, output] - targets[image, output]) ** 2).sum().item() / PATCH_VALUES
        for image, length in enumerate(LENGTHS.tolist())
        for output in range(length - 1, PATCHES - 1)
    ]
    nats = [
        -said.logits[image, slot].log_softmax(dim=0)[CAPTIONS[image, slot]].item()
        for image, slot in COUNTED.nonzero().tolist()
    ]
    got = share(said)
    assert (len(squares), len(nats)) == COUNTS[:2]
    assert got.pixel.item() == pytest.approx(sum(squares) / len(squares), rel=1e-5)
    assert got.text.item() == pytest.approx(sum(nats) / len(nats), rel=1e-5)


@pytest.mark.parametrize("pixel_weight", [0.0, 0.4, 2.5])
def test_the_total_weighs_the_pixels(pixel_weight: float) -> None:
    got = share(predictions(), pixel_weight=pixel_weight)
    assert got.total.item() == pytest.approx(got.text.item() + pixel_weight * got.pixel.item())


def test_what_stands_in_the_padding_does_not_matter() -> None:
    other = torch.where(COUNTED, CAPTIONS, (CAPTIONS + 1) % VOCABULARY)
    said = predictions()
    assert losses(said, PICTURES, other, COUNTED, LENGTHS, COUNTS, 0.4, 2) == share(said)


def test_errors_of_bfloat16_outputs_are_taken_in_float32() -> None:
    said = Predictions(*(output.detach().bfloat16() for output in predictions()))
    exact = Predictions(*(output.double() for output in said))
    for errors, expected in (
        (
            pixel_errors(said.pixels, PICTURES.bfloat16(), 2),
            pixel_errors(exact.pixels, PICTURES.bfloat16().double(), 2),
        ),
        (text_errors(said.logits, CAPTIONS), functional.cross_entropy(exact.logits.mT, CAPTIONS, reduction="none")),
    ):
        assert errors.dtype == torch.float32
        assert torch.allclose(errors.double(), expected.double(), rtol=1e-5, atol=1e-5)


# Cutting the batch


@pytest.mark.parametrize("cuts", [(4,), (1, 3), (2, 2), (1, 1, 1, 1)], ids=str)
def test_shares_of_micro_batches_add_up_to_the_global_loss_and_gradient(cuts: tuple[int, ...]) -> None:
    whole_model, cut_model = wide_model(), wide_model()
    whole = share(whole_model(PICTURES, CAPTIONS, LENGTHS))
    whole.total.backward()

    shares, start = [], 0
    for size in cuts:
        cut = slice(start, start + size)
        part = share(cut_model(PICTURES[cut], CAPTIONS[cut], LENGTHS[cut]), cut)
        part.total.backward()
        shares.append(torch.stack(part))
        start += size

    assert torch.allclose(torch.stack(shares).sum(dim=0), torch.stack(whole), rtol=1e-6, atol=0)
    for (name, expected), got in zip(whole_model.named_parameters(), cut_model.parameters(), strict=True):
        assert expected.grad is not None, name
        assert got.grad is not None, name
        assert expected.grad.abs().max() > 0, name
        assert (expected.grad - got.grad).abs().max() <= 1e-6 * expected.grad.abs().max(), name
