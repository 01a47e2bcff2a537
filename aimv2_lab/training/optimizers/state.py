"""An optimizer's state as named tensors for a safetensors file, and back, bit by bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aimv2_lab.training.optimizers.matrix_optimizer import MatrixOptimizer

_NUMBERS = {int: torch.int64, float: torch.float64}  # Python's own, told from AdamW's float32 counters by these


def optimizer_tensors(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The state as tensors on the CPU named `<state>.<parameter>`, e.g. `exp_avg.encoder.norm.weight`.

    A list's tensors are `<state>:0`, `<state>:1`, …; a matrix that lies in memory column by column is saved as its
    transpose, `<state>:0:T`, because products round otherwise by layout. q, k and v are parameters of their own,
    `….qkv.weight.q`, where SOAP or Muon has them apart. Numbers become tensors without axes.
    """
    return {
        f"{kind}.{name}": value
        for name, owner, tensor in _holders(optimizer, model)
        if owner.state[tensor]  # frozen parameters have none
        for kind, value in _flat(owner.state[tensor] | _counter(owner))
    }


def restore_optimizer(optimizer: Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give the optimizer the state that `optimizer_tensors` flattened, in place of what it has; copies are made."""
    holders = {name: (owner, tensor) for name, owner, tensor in _holders(optimizer, model)}
    for owner, tensor in holders.values():
        owner.state.pop(tensor, None)
    for full_name, value in sorted(tensors.items()):  # so that lists come in order
        marked_kind, name = full_name.split(".", maxsplit=1)
        owner, tensor = holders[name]
        kind, *marks = marked_kind.split(":")
        if value.dtype in _NUMBERS.values():
            place = owner.param_groups[0] if kind == "step" else owner.state[tensor]  # see _counter
            place[kind] = value.item()
        elif marks:
            there = value.to(tensor.device, copy=True)
            owner.state[tensor].setdefault(kind, []).append(there.T if marks[-1] == "T" else there)
        else:
            owner.state[tensor][kind] = value.to(tensor.device, copy=True)


def _holders(optimizer: Optimizer, model: nn.Module) -> Iterator[tuple[str, Optimizer, Tensor]]:
    for name, parameter in model.named_parameters():
        if isinstance(optimizer, MatrixOptimizer):
            yield from optimizer.holders(name, parameter)
        else:
            yield name, optimizer, parameter


def _counter(optimizer: Optimizer) -> dict[str, int]:
    """SOAP counts its steps in its group; every other optimizer in the state of each parameter, or not at all."""
    group = optimizer.param_groups[0]
    return {"step": group["step"]} if "step" in group else {}


def _flat(state: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for kind, value in state.items():
        if isinstance(value, list):
            for place, part in enumerate(value):
                matrix = torch.as_tensor(part).cpu()  # SOAP has an empty list for a side too long to precondition
                by_columns = not matrix.is_contiguous()
                yield f"{kind}:{place}" + ":T" * by_columns, (matrix.T if by_columns else matrix).contiguous()
        elif isinstance(value, Tensor):
            yield kind, value.detach().cpu().contiguous()
        else:
            yield kind, torch.tensor(value, dtype=_NUMBERS[type(value)])
