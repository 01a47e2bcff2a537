"""Losses of native batches: those of every picture alone, padded or packed; padding reaches nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from einops import rearrange

from aimv2_lab.data.native.batch import NativeBatch
from aimv2_lab.data.native.dataset import native_batches
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import losses
from aimv2_lab.recipes import Recipe, rival
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.native import laid_out
from aimv2_lab.training.step import batch_losses, loss_counts, train_step
from tests.native_toy import NATIVE, native_dataset

STEPS = 3


def batches(known: Recipe = NATIVE) -> list[NativeBatch]:
    dataset = native_dataset({"resolution.padding": known.resolution.padding})
    found = native_batches(dataset, 0, STEPS, workers=0)
    return [batch for batch in found if isinstance(batch, NativeBatch)]


def model(known: Recipe = NATIVE) -> AIMv2:
    """Wide weights in float64, so that what must be equal is, and what must not be cannot hide."""
    made = build_model(known)
    draw_wide_weights(made, torch.Generator().manual_seed(0))
    return made.double()


def one_by_one(made: AIMv2, batch: NativeBatch) -> torch.Tensor:
    """The losses (total, pixel, text) of every picture by itself, as a picture of one size is trained on, added up."""
    counts, size, shares = loss_counts(batch, NATIVE), NATIVE.encoder.patch_size, []
    for row in range(len(batch)):
        strip = batch.images[row : row + 1, :, :, : int(batch.patch_counts[row]) * size].double()
        columns = int(batch.columns[row])
        image = rearrange(strip, "b c p (rows columns q) -> b c (rows p) (columns q)", columns=columns, q=size)
        length = int(batch.text_lengths[row])
        tokens, counted = batch.tokens[row : row + 1, :length], batch.counted[row : row + 1, :length]
        prefix = batch.prefix_lengths[row : row + 1]
        said = made(image, tokens, prefix)
        weight = NATIVE.objective.pixel_weight
        shares.append(torch.stack(losses(said, image, tokens, counted, prefix, counts, weight, size)))
    return torch.stack(shares).sum(dim=0)


def gradients(made: AIMv2, total: torch.Tensor) -> torch.Tensor:
    made.zero_grad()
    total.backward()
    return torch.cat([weight.grad.flatten() for weight in made.parameters() if weight.grad is not None])


class Doubled:
    """Hands a model its images in float64."""

    def __init__(self, made: AIMv2) -> None:
        self.made = made

    def forward(self, images: torch.Tensor, *others: object) -> object:
        return self.made(images.double(), *others)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_losses_and_gradients_are_those_of_every_picture_alone(batching: str, separate: bool) -> None:
    known = NATIVE.change({"resolution.batching": batching, "decoder.separate": separate})
    made = model(known)
    for batch in batches():
        found = torch.stack(batch_losses(Doubled(made), batch, loss_counts(batch, known), known))
        expected = one_by_one(made, batch)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(
            gradients(made, found[0]), gradients(made, expected[0]), rtol=1e-4, atol=1e-6 * expected[0].item()
        )


def test_packed_rows_hold_several_pictures_and_less_padding() -> None:
    saved = 0
    for batch in batches():
        strips = laid_out(batch, packed=True)
        assert strips.encoder_rows is not None and strips.decoder_rows is not None
        assert len(strips.encoder_rows.places) < len(batch)
        real = int(batch.patch_counts.sum())
        assert int((strips.encoder_rows.sequence >= 0).sum()) == real
        saved += len(batch) * int(batch.patch_counts.max()) - strips.encoder_rows.places.numel()
    assert saved > 0


@pytest.mark.parametrize("batching", ["padded", "packed"])
@pytest.mark.parametrize("attention", ["prefix", "bidirectional"])
def test_what_stands_in_the_padding_changes_nothing(batching: str, attention: str) -> None:
    changes = {"resolution.batching": batching, "objective.encoder_attention": attention}
    known = NATIVE.change(changes)
    made, batch = model(known).float(), max(batches(), key=lambda batch: int(batch.patch_counts.max()))
    images = batch.images.clone().requires_grad_()
    floats = replace(batch, pictures=images, scale=None)
    found = batch_losses(Plain(made), floats, loss_counts(batch, known), known)
    (gradient,) = torch.autograd.grad(found.total, images)
    by_patch = rearrange(gradient.abs(), "b c p (patches q) -> b patches (c p q)", q=8).sum(dim=-1)
    real = torch.arange(by_patch.shape[1]) < batch.patch_counts[:, None]
    assert not real.all()
    assert float(by_patch[~real].max()) == 0.0
    assert float(by_patch[real].min()) > 0.0


class Plain:
    """A model as a predictor."""

    def __init__(self, made: AIMv2) -> None:
        self.made = made

    def forward(self, *inputs: object) -> object:
        return self.made(*inputs)


def test_padding_that_is_seen_is_learned_from() -> None:
    known = NATIVE.change({"resolution.padding": "seen"})
    made = model(known)
    for seen, masked in zip(batches(known), batches(), strict=True):
        assert seen.keys == masked.keys
        counts = loss_counts(seen, known)
        assert counts.patches > loss_counts(masked, NATIVE).patches
        found = batch_losses(Doubled(made), seen, counts, known)
        other = batch_losses(Doubled(made), masked, loss_counts(masked, NATIVE), NATIVE)
        assert abs(float(found.pixel - other.pixel)) > 1e-3


class Features:
    """As `Plain`, and keeps the encoder's features (B, N, D)."""

    def __init__(self, made: AIMv2) -> None:
        self.made, self.found = made, torch.empty(0)

    def forward(self, images: torch.Tensor, *others: object) -> object:
        with self.made.encoder.register_forward_hook(self._keep):
            return self.made(images, *others)

    def _keep(self, encoder: torch.nn.Module, inputs: object, features: torch.Tensor) -> None:
        self.found = features


def reach(known: Recipe, batch: NativeBatch, patch_counts: torch.Tensor) -> torch.Tensor:
    """How much the features of the first `patch_counts` (B,) patches of each picture change with what stands in every
    patch: (B, N)."""
    predictor, images = Features(model(known)), batch.images.double().requires_grad_()
    batch_losses(predictor, replace(batch, pictures=images, scale=None), loss_counts(batch, known), known)
    real = torch.arange(predictor.found.shape[1]) < patch_counts[:, None]
    (gradient,) = torch.autograd.grad(predictor.found[real].sum(), images)
    return rearrange(gradient.abs(), "b c p (patches q) -> b patches (c p q)", q=8).sum(dim=-1)


@pytest.mark.parametrize("attention", ["prefix", "bidirectional"])
def test_real_patches_attend_to_padding_that_is_seen_and_to_no_other(attention: str) -> None:
    """To all of it, or where the prefix ends in it to what is inside."""
    masked = NATIVE.change({"objective.encoder_attention": attention})
    seen = masked.change({"resolution.padding": "seen"})
    found = []
    for filled, bare in zip(batches(seen), batches(masked), strict=True):
        counts = bare.patch_counts  # of the same pictures, whose padding is none of theirs
        reached, place = reach(seen, filled, counts), torch.arange(int(filled.patch_counts.max()))
        padding = (place >= counts[:, None]) & (place < filled.patch_counts[:, None])
        inside = padding if attention == "bidirectional" else padding & (place < filled.prefix_lengths[:, None])
        assert bool((reached[inside] > 0).all()) and float(reached[padding & ~inside].sum()) == 0.0
        not_theirs = torch.arange(int(counts.max())) >= counts[:, None]
        reached_masked = reach(masked, bare, counts)
        assert float(reached_masked[not_theirs].sum()) == 0.0 and bool((reached_masked[~not_theirs] > 0).all())
        found.append([int(inside.sum()), int(not_theirs.sum())])
    assert torch.tensor(found).sum(dim=0).min() > 0


@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_a_step_does_not_depend_on_its_micro_batches(batching: str) -> None:
    found = []
    for micro in (4, 8, 16):
        known = NATIVE.change({"training.micro_batch_size": micro, "resolution.batching": batching})
        engine = LocalEngine(build_model(known), known.training, torch.device("cpu"))
        rows = [train_step(engine, batch, loss_counts(batch, known), known) for batch in batches()]
        found.append(torch.tensor([[float(value) for value in row] for row in rows]))
    for one, other in pairwise(found):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_steps_in_bfloat16_are_close_to_those_in_float32(batching: str) -> None:
    """bfloat16 has three significant digits."""
    found = []
    for precision in ("float32", "bfloat16"):
        known = NATIVE.change({"training.precision": precision, "resolution.batching": batching})
        engine = LocalEngine(build_model(known), known.training, torch.device("cpu"))
        rows = [train_step(engine, batch, loss_counts(batch, known), known) for batch in batches()]
        found.append(torch.tensor([[float(value) for value in row] for row in rows]))
    whole, half = found
    torch.testing.assert_close(half[:, :3], whole[:, :3], rtol=5e-3, atol=0)
    torch.testing.assert_close(half[:, 3], whole[:, 3], rtol=5e-2, atol=0)
    assert not torch.equal(half, whole)


@pytest.mark.parametrize("name", ["image-only", "caption-only", "caption-only-bidirectional"])
def test_halves_of_the_objective_are_native_too(name: str) -> None:
    known = rival(name, NATIVE)  # type: ignore[arg-type]
    assert isinstance(known, Recipe)
    made = model(known)
    (batch, *_) = batches()
    if not known.text_tokens:
        batch = replace(batch, tokens=batch.tokens[:, :0], counted=batch.counted[:, :0])
    found = {
        batching: float(
            batch_losses(
                Doubled(made), batch, loss_counts(batch, known), known.change({"resolution.batching": batching})
            ).total
        )
        for batching in ("padded", "packed")
    }
    assert found["padded"] == pytest.approx(found["packed"], rel=1e-9) and found["padded"] > 0.1
