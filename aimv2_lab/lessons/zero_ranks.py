"""What each ZeRO stage computes and holds: a few steps on every rank, and the bytes behind them.

    torchrun --standalone --nproc_per_node 2 -m -- aimv2_lab.lessons.zero_ranks RECIPE.json FOUND.json

The second file gets a row for every stage: the losses of the recipe's steps, and what rank 0 holds, in bytes a
parameter, in the middle of the step after them, when the gradients of one micro-batch are there.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from aimv2_lab.data.batches import batches
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.feed import Feed
from aimv2_lab.training.loop import build_model, open_data
from aimv2_lab.training.ranks import Ranks
from aimv2_lab.training.sharded.state import flat_pieces
from aimv2_lab.training.step import batch_losses, train_step

STAGES = (0, 1, 2, 3)  # 3 last: it leaves a linear layer of its own behind in torch
KINDS = ("weights", "gathered", "optimizer", "gradients")


def storages(tensors: Iterable[Tensor | None]) -> dict[int, int]:
    """Address of the storage -> its bytes; tensors that share one are counted once."""
    return {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors if t is not None}


def alive() -> dict[int, int]:
    """The storages of all tensors on the CPU that Python knows, gradients included."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) in (Tensor, torch.nn.Parameter)]
    found = [tensor for tensor in tensors if tensor.device.type == "cpu"]
    return storages([*found, *(t.grad for t in found if t.is_leaf)])


def measured(recipe: Recipe, ranks: Ranks) -> dict[str, Any]:
    """Total losses of every step, and bytes a parameter by kind, under the recipe's stage."""
    from aimv2_lab.training.sharded.engine import DeepSpeedEngine

    training, stage = recipe.training, recipe.engine.zero_stage
    data, before = open_data(recipe), alive()
    engine = DeepSpeedEngine(build_model(recipe), recipe, ranks)
    engine.model.train()
    parts = batches(data.training, training.batch_size, 0, training.steps + 1, 0, ranks.rank, ranks.size)
    feed, totals = Feed(parts, engine, recipe, lambda: False), []
    for _ in range(training.steps):
        fed = feed.next()
        assert fed is not None
        totals += ranks.sum(train_step(engine, fed.batch, fed.counts, recipe).total.item())
    fed = feed.next()
    assert fed is not None
    micro_batch = next(iter(fed.batch.split(training.micro_batch_size)))
    engine.backward(batch_losses(engine, micro_batch, fed.counts, recipe).total)
    del fed, micro_batch
    kinds = _by_kind(engine.wrapped, engine.model.parameters(), stage, before)
    parameters = sum(getattr(p, "ds_numel", p.numel()) for p in engine.model.parameters())
    engine.wrapped.destroy()
    return {"stage": stage, "totals": totals, **{kind: kinds[kind] / parameters for kind in KINDS}}


def _by_kind(wrapped: Any, parameters: Iterable[Tensor], stage: int, before: dict[int, int]) -> dict[str, int]:
    """Bytes by kind; gradients, with what copies them, are what is left of all that was not there before."""
    parameters, inner = list(parameters), getattr(wrapped.optimizer, "optimizer", wrapped.optimizer)
    states = [value for state in inner.state.values() for value in state.values() if isinstance(value, Tensor)]
    found = {
        "weights": storages(getattr(parameter, "ds_tensor", parameter) for parameter in parameters),
        "gathered": storages(parameters if stage == 3 else ()),
        "optimizer": storages([*states, *(flat_pieces(wrapped.optimizer) if stage else ())]),
    }
    left, bytes_of = {at: size for at, size in alive().items() if at not in before}, {}
    for kind, places in found.items():
        bytes_of[kind] = sum(left.pop(at, 0) for at in places)
    return {**bytes_of, "gradients": sum(left.values())}


def main() -> None:
    """Measure every stage; rank 0 writes."""
    from aimv2_lab.training.sharded.engine import start_ranks

    recipe, ranks = Recipe.from_json(Path(sys.argv[1]).read_text()), start_ranks()
    rows = [measured(recipe.change({"engine.zero_stage": stage}), ranks) for stage in STAGES]
    if ranks.is_first:
        Path(sys.argv[2]).write_text(json.dumps(rows))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
