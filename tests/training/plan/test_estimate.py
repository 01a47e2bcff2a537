"""Memory is predicted without allocating it, and agrees with what a real step holds."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.recipes import AnyRecipe, Recipe, recipe, rival
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.plan.estimate import kept_for_backward, peak_bytes, predict_memory, predict_seconds, time_step
from aimv2_lab.training.step import loss_counts, train_step
from tests.training.toy import SMALL, random_batch

CPU = torch.device("cpu")


def trained_engine(recipe: Recipe = SMALL) -> LocalEngine:
    engine = LocalEngine(build_model(recipe), recipe.training, CPU)
    batch = random_batch(0)
    train_step(engine, batch, loss_counts(batch, SMALL), SMALL)
    return engine


@pytest.mark.parametrize("optimizer", ["adamw", "soap", "muon"])
def test_weights_and_optimizer_are_predicted_to_the_byte(optimizer: str) -> None:
    recipe = SMALL.change({"training.optimizer": optimizer})
    engine, memory = trained_engine(recipe), predict_memory(recipe)
    assert memory.parameters == memory.gradients == sum(p.nbytes for p in engine.model.parameters())
    tensors = engine.optimizer_state().values()
    assert memory.optimizer == sum(value.nbytes for value in tensors if value.dtype == torch.float32)  # no bare numbers


def test_the_peak_of_a_step_is_predicted_within_a_tenth() -> None:
    engine, batch = trained_engine(), random_batch(1)
    memory = predict_memory(SMALL, text_tokens=batch.tokens.shape[1])
    made = peak_bytes(lambda: train_step(engine, batch, loss_counts(batch, SMALL), SMALL))
    measured = memory.parameters + memory.optimizer + made
    assert 0.9 < memory.peak / measured < 1.1


def test_activations_grow_with_the_micro_batch_and_the_caption() -> None:
    four, eight = (predict_memory(SMALL.change({"training.micro_batch_size": size})) for size in (4, 8))
    assert eight.activations == pytest.approx(2 * four.activations, rel=1e-3)
    assert eight.parameters == four.parameters
    assert predict_memory(SMALL, text_tokens=1).activations < eight.activations


def test_half_precision_halves_no_weights_but_saves_activations() -> None:
    whole, half = (predict_memory(recipe("small", {"training.precision": p})) for p in ("float32", "bfloat16"))
    assert half[:3] == whole[:3]
    assert half.activations < 0.8 * whole.activations


SOME: list[AnyRecipe] = [recipe("aim-tiny"), recipe("aimv2-large-224")]
SOME += [rival(name, recipe("tiny")) for name in ("image-only", "caption-only", "cappa")]


@pytest.mark.parametrize("known", SOME, ids=lambda known: known.name)
def test_any_recipe_can_be_predicted(known: AnyRecipe) -> None:
    memory = predict_memory(known)
    assert min(memory) > 0
    assert memory.peak == memory.parameters + memory.optimizer + max(memory.activations, memory.gradients)


def test_what_is_kept_is_what_autograd_saves() -> None:
    """One linear layer keeps its input and nothing else; the loss keeps what it needs of the outputs."""
    with torch.device("meta"):
        model = build_model(SMALL)
    two, six = (kept_for_backward(model, SMALL, batch, 6) for batch in (2, 6))
    assert six == pytest.approx(3 * two, rel=1e-3)


def test_live_bytes_are_counted_while_they_live() -> None:
    old = torch.zeros(1000)

    def call() -> None:
        first = old + 1  # 4,000 bytes
        view = first[10:]
        del first
        second = view.double()  # 7,920 bytes more, while the view holds the first
        del view, second
        old.view(10, 100).add_(1)  # nothing new

    assert peak_bytes(call) == 4000 + 7920


def test_a_step_is_timed_after_a_warm_up() -> None:
    engine, batches = LocalEngine(build_model(SMALL), SMALL.training, CPU), [random_batch(seed) for seed in range(3)]
    assert time_step(engine, batches, SMALL) > 0
    assert engine.steps_done == 3
    with pytest.raises(ValueError, match="1 batches: one warms up"):
        time_step(engine, batches[:1], SMALL)


def test_seconds_add_up() -> None:
    changes = {"training.steps": 100, "training.validate_every": 30, "training.validation_batches": 5}
    planned = SMALL.change(changes)
    validation = 4 * 5 * 2.0 / 3  # after steps 30, 60, 90 and 100; a forward pass is a third of a step
    assert predict_seconds(planned, step=2.0) == pytest.approx(200 + validation)
    assert predict_seconds(planned, step=2.0, load=0.5) == pytest.approx(200 + validation + 50)
    assert predict_seconds(planned, step=2.0, load=0.5, loads=20) == pytest.approx(200 + validation + 10)
