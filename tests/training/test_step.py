"""A step does not depend on how its global batch is cut, and counts what the objective says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aimv2_lab.data.transforms import PixelScale, normalise, pixel_scale
from aimv2_lab.model.objective import losses
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.step import batch_losses, loss_counts, train_step
from tests.training.toy import SILENT, SMALL, random_batch


def trace(recipe: AnyRecipe, steps: int = 6) -> list[list[float]]:
    engine = LocalEngine(build_model(recipe).double(), recipe.training, torch.device("cpu"))
    rows = []
    for step in range(steps):
        batch = random_batch(step, recipe)
        batch = replace(batch, pictures=batch.images.double())
        rows.append([value.item() for value in train_step(engine, batch, loss_counts(batch, recipe), recipe)])
    return rows


@pytest.mark.parametrize("whole", [SMALL, SILENT], ids=["AIMv2", "AIM v1"])
@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_micro_batches_change_nothing(whole: AnyRecipe, micro_batch_size: int) -> None:
    cut = whole.change({"training.micro_batch_size": micro_batch_size})
    torch.testing.assert_close(trace(cut), trace(whole), rtol=1e-5, atol=1e-7)


def test_the_text_head_is_spared_the_padding() -> None:
    """The same losses and gradients as by all logits, from those that count alone."""
    batch, counts = random_batch(0), loss_counts(random_batch(0), SMALL)
    model = build_model(SMALL).double()
    batch = replace(batch, pictures=batch.images.double())
    asked = []
    model.decoder.text_head.register_forward_hook(lambda *call: asked.append(call[2].shape))
    found = batch_losses(model, batch, counts, SMALL)
    said = model(batch.images, batch.tokens, batch.prefix_lengths)
    whole = losses(said, batch.images, batch.tokens, batch.counted, batch.prefix_lengths, counts, 0.4, 12)
    assert asked == [(counts.tokens, 20), (8, 6, 20)]
    weights = list(model.parameters())
    torch.testing.assert_close(found, whole, rtol=1e-6, atol=0)
    gradients, expected = (torch.autograd.grad(each.total, weights) for each in (found, whole))
    torch.testing.assert_close(gradients, expected, rtol=1e-5, atol=1e-9)


def test_slots_that_fill_up_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trace(SMALL)
    monkeypatch.setattr("aimv2_lab.data.batch.slot_multiple", lambda _: 64)
    torch.testing.assert_close(trace(SMALL), expected, rtol=1e-6, atol=1e-9)


def test_8_bit_pictures_are_normalised_once_for_each_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the losses and the gradient, bit by bit, of pictures that were normalised before."""
    known = SMALL.change({"training.micro_batch_size": 2})
    levels = torch.randint(256, (8, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = replace(random_batch(0), pictures=levels, scale=pixel_scale(known.data))
    by_hand, sizes = replace(batch, pictures=batch.images, scale=None), []

    def noted(pictures: torch.Tensor, scale: PixelScale) -> torch.Tensor:
        sizes.append(len(pictures))
        return normalise(pictures, scale)

    monkeypatch.setattr("aimv2_lab.data.batch.normalise", noted)
    engines = (LocalEngine(build_model(known), known.training, torch.device("cpu")) for _ in range(2))
    found, expected = (
        train_step(engine, one, loss_counts(one, known), known)
        for engine, one in zip(engines, (batch, by_hand), strict=True)
    )
    assert found == expected
    assert sizes == [2, 2, 2, 2]


def test_counts_are_those_of_prefix_and_caption() -> None:
    batch = random_batch(0)
    counts = loss_counts(batch, SMALL)
    assert counts.patches == sum(SMALL.encoder.patches - int(length) for length in batch.prefix_lengths)
    assert counts.tokens == sum(len([c for c in row if c]) for row in batch.counted.tolist())


def test_training_lowers_the_loss_of_a_batch_seen_again() -> None:
    """Memorising one batch: both losses fall far below their start."""
    longer = SMALL.change({"training.steps": 150, "training.peak_lr": 3e-3})
    engine = LocalEngine(build_model(longer), longer.training, torch.device("cpu"))
    batch = random_batch(0)
    results = [train_step(engine, batch, loss_counts(batch, longer), longer) for _ in range(150)]
    assert results[-1].text < 0.2 * results[0].text
    assert results[-1].pixel < 0.9 * results[0].pixel


def test_aim_v1_learns_from_pixels_alone() -> None:
    engine = LocalEngine(build_model(SILENT), SILENT.training, torch.device("cpu"))
    batch = random_batch(0, SILENT)
    results = [train_step(engine, batch, loss_counts(batch, SILENT), SILENT) for _ in range(20)]
    assert results[-1].pixel < 0.9 * results[0].pixel
    assert all(result.text == 0 and result.total == result.pixel for result in results)


def test_the_recipe_says_what_the_target_is() -> None:
    """Brighter pictures: raw errors grow, errors of standardised patches stay."""
    batch = random_batch(0, SILENT)
    brighter = replace(batch, pictures=batch.images + 100)
    for target, moves in (("standardised", False), ("raw", True)):
        changed = SILENT.change({"objective.target": target})
        engine = LocalEngine(build_model(changed), changed.training, torch.device("cpu"))
        with torch.no_grad():
            said = engine.forward(batch.images, batch.tokens, batch.prefix_lengths)
        engine.forward = lambda *_, said=said: said  # type: ignore[method-assign]  # the same predictions twice
        pixel = [batch_losses(engine, b, loss_counts(b, changed), changed).pixel.item() for b in (batch, brighter)]
        assert (pixel[1] > 2 * pixel[0]) == moves


def test_bidirectional_attention_learns_from_the_caption_alone() -> None:
    bidirectional = SMALL.change({"objective.encoder_attention": "bidirectional"})
    engine = LocalEngine(build_model(bidirectional), bidirectional.training, torch.device("cpu"))
    whole = torch.full((8,), SMALL.encoder.patches)
    batch = replace(random_batch(0), prefix_lengths=whole)
    result = batch_losses(engine, batch, loss_counts(batch, bidirectional), bidirectional)
    assert result.pixel == 0
    assert result.total == result.text
    # No prefix mask: the first patch's feature depends on the last patch.
    images = batch.images.clone().requires_grad_()
    engine.model.encoder(images)[:, 0].sum().backward()
    assert images.grad is not None
    assert images.grad[:, :, -8:, -8:].abs().sum() > 0


def test_the_same_seed_draws_the_same_model_whatever_was_drawn_before() -> None:
    first = build_model(SMALL).state_dict()
    torch.rand(7)
    state = torch.random.get_rng_state()
    torch.testing.assert_close(build_model(SMALL).state_dict(), first, rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)
