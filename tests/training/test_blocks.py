"""Blocks that are compiled or recomputed say what plain ones say, under the same names; recomputed ones keep less."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor

from aimv2_lab.data.native.dataset import native_batches
from aimv2_lab.model.models import AnyModel
from aimv2_lab.recipes import AdditiveRecipe, EngineRecipe
from aimv2_lab.training.blocks import prepare_blocks
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.plan.estimate import peak_bytes
from aimv2_lab.training.step import batch_losses, loss_counts
from tests.native_toy import NATIVE, native_dataset
from tests.training.toy import SILENT, SMALL, random_batch

DEEP = SMALL.change({"encoder.depth": 6, "decoder.depth": 4})
both_kinds = pytest.mark.parametrize("plan", [DEEP, SILENT], ids=["AIMv2", "AIM v1"])


def prepared(plan: AdditiveRecipe, checkpointing: bool = False, compiled: bool = False) -> AnyModel:
    model = build_model(plan)
    prepare_blocks(model, EngineRecipe(activation_checkpointing=checkpointing, compile=compiled))
    return model


def loss(model: AnyModel, seed: int = 0) -> Tensor:
    plan = model.recipe
    assert isinstance(plan, AdditiveRecipe)
    batch = random_batch(seed, plan)
    return batch_losses(model, batch, loss_counts(batch, plan), plan).total


def gradients(model: AnyModel) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss(model), list(model.parameters()))


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.fx.GraphModule]]:
    """The graphs compiled meanwhile. They are run as they are: generating code takes half a minute and is torch's."""
    found = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        found.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend, fullgraph=True))
    torch.compiler.reset()
    yield found
    torch.compiler.reset()


@both_kinds
def test_recomputed_blocks_change_no_bit_and_keep_less(plan: AdditiveRecipe) -> None:
    plain, recomputed = prepared(plan), prepared(plan, checkpointing=True)
    assert torch.equal(loss(plain), loss(recomputed))
    assert all(map(torch.equal, gradients(plain), gradients(recomputed)))
    kept, less = (peak_bytes(lambda model=model: gradients(model)) for model in (plain, recomputed))  # type: ignore[misc]
    assert less < 0.75 * kept


@both_kinds
@pytest.mark.parametrize("checkpointing", [False, True])
def test_blocks_of_a_kind_are_compiled_once(
    plan: AdditiveRecipe, checkpointing: bool, graphs: list[torch.fx.GraphModule]
) -> None:
    """Ten blocks, two graphs: in the encoder with a mask, in the decoder without, or in AIM v1's trunk and head."""
    model, expected = prepared(plan, checkpointing, compiled=True), prepared(plan)
    torch.testing.assert_close(gradients(model), gradients(expected), rtol=1e-4, atol=1e-7)
    assert len(graphs) == 2
    torch.testing.assert_close(loss(model), loss(expected), rtol=1e-6, atol=0)


def test_micro_batches_of_other_lengths_are_not_compiled_each(graphs: list[torch.fx.GraphModule]) -> None:
    """The encoder's blocks are compiled for one length, the decoder's, which came second, for any."""
    model = prepared(DEEP, compiled=True)
    for tokens in range(1, 7):
        batch = random_batch(0)
        said = model(batch.images, batch.tokens[:, :tokens], batch.prefix_lengths)
        assert said.logits.shape[1] == tokens
    assert len(graphs) == 2


@torch.no_grad()
def test_native_steps_of_other_areas_are_not_compiled_each(graphs: list[torch.fx.GraphModule]) -> None:
    """After two steps every shape has its graph, with any number of pictures above one."""
    model, plain, made = prepared(NATIVE, compiled=True), prepared(NATIVE), list[int]()
    for batch in native_batches(native_dataset(), 0, 6, workers=0):
        counts = loss_counts(batch, NATIVE)
        found, expected = (torch.stack(batch_losses(blocks, batch, counts, NATIVE)) for blocks in (model, plain))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
        made.append(len(graphs))
    assert made[0] >= 2 and made[1:] == [made[1]] * 5


@both_kinds
def test_names_and_values_of_the_weights_stay(plan: AdditiveRecipe) -> None:
    plain = build_model(plan).state_dict()
    for options in ({"checkpointing": True}, {"compiled": True}, {"checkpointing": True, "compiled": True}):
        torch.testing.assert_close(prepared(plan, **options).state_dict(), plain, rtol=0, atol=0)


def test_the_local_engine_does_what_the_recipe_says_and_once() -> None:
    for changes, prepares in (({}, False), ({"engine.activation_checkpointing": True}, True)):
        model = build_model(SMALL.change(changes))
        LocalEngine(model, SMALL.training, torch.device("cpu"))
        first = model.encoder.blocks[0]
        assert ("forward" in vars(first)) == prepares
        before = first.forward
        LocalEngine(model, SMALL.training, torch.device("cpu"))
        assert first.forward == before
