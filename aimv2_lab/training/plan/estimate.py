"""What a run will cost, said before it starts: memory counted from the recipe alone, time from one measured step."""

from __future__ import annotations

import statistics
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aimv2_lab.data.batches import Batch
from aimv2_lab.model.models import model_of
from aimv2_lab.model.objective import LossCounts, caption_losses, losses
from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.optimizers.building import state_bytes
from aimv2_lab.training.step import loss_counts, train_step

FORWARD_SHARE = 1 / 3  # of a step's time: backward costs about twice the forward pass


class Memory(NamedTuple):
    """Bytes that one device needs for a step with LocalEngine."""

    parameters: int
    gradients: int
    optimizer: int  # its state, e.g. Adam's two means and a counter for every tensor
    activations: int  # what the forward pass of one micro-batch keeps for the backward pass

    @property
    def peak(self) -> int:
        """The most at once: at the end of the forward pass, or when every gradient is there.

        Activations are freed while gradients are made, so the two do not add up.
        """
        return self.parameters + self.optimizer + max(self.activations, self.gradients)


def predict_memory(recipe: AnyRecipe, text_tokens: int | None = None) -> Memory:
    """The memory of a recipe's training step, counted without allocating any of it.

    Captions have `text_tokens` tokens, by default as many as the recipe allows. Counted for torch's CPU kernels and
    one process; scratch space of kernels and an encoder's mask are left out.
    """
    with torch.device("meta"):
        model = model_of(recipe)
    sizes = [parameter.nbytes for parameter in model.parameters()]
    tokens = recipe.text_tokens if text_tokens is None else text_tokens
    # Not from one pair: a slice of a single one is kept as a view of the whole, of several as a copy.
    two, three = (kept_for_backward(model, recipe, batch, tokens) for batch in (2, 3))
    activations = two + (three - two) * (recipe.training.micro_batch_size - 2)
    optimizer = sum(state_bytes(name, parameter, recipe.training) for name, parameter in model.named_parameters())
    return Memory(sum(sizes), sum(sizes), optimizer, activations)


def kept_for_backward(model: nn.Module, recipe: AnyRecipe, batch: int, text_tokens: int) -> int:
    """Bytes of all tensors that autograd keeps after forward pass and loss of `batch` pairs, weights aside.

    The tensors are fake: they have shapes and no contents. The model may lie on the meta device.
    """
    size, half = recipe.encoder.image_size, recipe.training.precision == "bfloat16"
    with warnings.catch_warnings(), FakeTensorMode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        warnings.simplefilter("ignore")  # that a CPU has no fused norm in half precision
        weights = _fake_weights(model)
        images, tokens = torch.zeros(batch, 3, size, size), torch.zeros(batch, text_tokens, dtype=torch.int64)
        slots = torch.arange(tokens.numel())
        with _kept({weight.untyped_storage()._cdata for weight in weights.values()}) as kept:
            said = functional_call(model, weights, (images, tokens, None, slots))
            text = (tokens.flatten(), slots >= 0)
            if recipe.objective.target == "none":
                caption_losses(said.logits, *text, LossCounts(1, 1))
            else:
                losses(said, images, *text, slots.new_ones(batch), LossCounts(1, 1), *_target(recipe))
            return sum(kept.values())


def _target(recipe: AnyRecipe) -> tuple[Any, ...]:
    return recipe.objective.pixel_weight, recipe.encoder.patch_size, recipe.objective.target


def _fake_weights(model: nn.Module) -> dict[str, Tensor]:
    """Stand-ins for parameters, which want a gradient, and buffers, which do not."""
    learned = {name: torch.empty(p.shape, dtype=p.dtype, requires_grad=True) for name, p in model.named_parameters()}
    return learned | {name: torch.empty(b.shape, dtype=b.dtype) for name, b in model.named_buffers()}


@contextmanager
def _kept(weights: set[int]) -> Iterator[dict[int, int]]:
    """Storage -> bytes of what autograd saves meanwhile, each storage once."""
    found: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage._cdata not in weights:
            found[storage._cdata] = storage.nbytes()
        return saved

    with saved_tensors_hooks(keep, lambda saved: saved):
        yield found


class _LiveTensors(TorchDispatchMode):
    """Counts the bytes of every tensor made meanwhile for as long as it lives."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for given in _storages((args, kwargs)):  # what an operation is given may have been there before
            self._seen.add(given)
        result = func(*args, **(kwargs or {}))
        for made in _storages(result):
            self._add(made)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:  # a view of something older
            return
        self._seen.add(storage)
        weakref.finalize(storage, self._free, storage.nbytes())
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)

    def _free(self, size: int) -> None:
        self.now -= size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]


def peak_bytes(call: Callable[[], object]) -> int:
    """The most bytes that tensors made during the call held at once; what existed before is not counted.

    Made for the CPU, where torch keeps no such count; on CUDA use torch.cuda.max_memory_allocated. Not for compiled
    code: torch runs it as it is meanwhile, and from then on.
    """
    with _LiveTensors() as live:
        call()
    return live.peak


def time_step(engine: LocalEngine, batches: Sequence[Batch], recipe: AnyRecipe) -> float:
    """Seconds of one step: the median over the batches, after a first one that warms up. The model is trained on.

    Raises ValueError for fewer than two batches.
    """
    if len(batches) < 2:
        raise ValueError(f"{len(batches)} batches: one warms up, so at least two are needed")
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        train_step(engine, batch.to(engine.device), loss_counts(batch, recipe), recipe).total.item()  # item() waits
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def predict_seconds(recipe: AnyRecipe, step: float, load: float = 0.0, loads: int | None = None) -> float:
    """Seconds of a whole run whose step takes `step` seconds and whose batch takes `load` seconds to make.

    `loads` is how many batches cost that much, by default all; the generated world keeps its pictures, so that only
    the first epoch's do. Validation is a forward pass per batch. Checkpoints are left out.
    """
    training = recipe.training
    validations = -(-training.steps // training.validate_every)
    forward = FORWARD_SHARE * step * validations * training.validation_batches
    return training.steps * step + forward + min(training.steps if loads is None else loads, training.steps) * load
