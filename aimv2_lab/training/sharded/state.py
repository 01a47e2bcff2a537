"""Whole tensors out of DeepSpeed's shards and back into them, for any ZeRO stage and number of ranks.

ZeRO keeps float32 weights and Adam's means in flat pieces, cut evenly over the ranks without regard to where one
parameter ends. Checkpoints here hold whole parameters under the model's names, the same as without DeepSpeed, so that
they can be read by one process and resumed by any other number of ranks. Every function here is called by all ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Flat = Tensor  # a rank's piece of the float32 weights of one parameter group


def gathered_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter by name, whole, in float32."""
    from deepspeed.utils import safe_get_full_fp32_param

    for name, parameter in model.named_parameters():
        yield name, _whole(safe_get_full_fp32_param(parameter), parameter)


def gathered_state(zero: Any, model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The state of the optimizer inside DeepSpeed's `zero`, whole, by the names of `optimizer_tensors`."""
    from deepspeed.utils import safe_get_full_optimizer_state

    _link(zero)
    states = [zero.optimizer.state[flat] for flat in flat_pieces(zero)]
    kinds = [kind for kind, value in states[0].items() if torch.is_tensor(value) and value.ndim]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield f"step.{name}", states[0]["step"].detach().cpu()
            for kind in kinds:
                yield f"{kind}.{name}", _whole(safe_get_full_optimizer_state(parameter, kind), parameter)


def _whole(found: Tensor | None, parameter: Tensor) -> Tensor:
    """What was put together, in the parameter's shape; of a frozen one ZeRO's optimizer has no pieces."""
    if found is not None:
        return found.detach().reshape(getattr(parameter, "ds_shape", parameter.shape))
    if not hasattr(parameter, "ds_id"):
        return parameter.detach().float()
    from deepspeed.runtime.zero import GatheredParameters

    with GatheredParameters([parameter]):  # stage 3 shards the frozen too
        return parameter.detach().float().clone()


def flat_pieces(zero: Any) -> Sequence[Flat]:
    """The tensors that the inner optimizer steps on, under the names that each of DeepSpeed's classes has for them."""
    for name in ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups", "fp32_groups_flat_partition"):
        if hasattr(zero, name):
            pieces: Sequence[Flat] = getattr(zero, name)
            return pieces
    raise TypeError(f"{type(zero).__name__} is none of the ZeRO optimizers that this code knows")


def restore_pieces(zero: Any, model: nn.Module, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Cut whole weights and optimizer state, by the names that `gathered_…` give them, into every rank's pieces.

    The model's own weights are to be loaded before DeepSpeed takes it over; these are the float32 ones behind them.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not state:
        kinds, steps = [], torch.zeros(())
    else:
        kinds = sorted({key.partition(".")[0] for key in state} - {"step"})
        steps = state[f"step.{names[0]}"]
        _make_state(zero, kinds, steps)
    parameters = dict(model.named_parameters())
    for name in names:
        _set(zero, parameters[name], weights[name], None)
        for kind in kinds:
            _set(zero, parameters[name], state[f"{kind}.{name}"], kind)


def _make_state(zero: Any, kinds: Sequence[str], steps: Tensor) -> None:
    """The state that the inner optimizer would have made at its first step."""
    inner = zero.optimizer
    fused = bool(inner.defaults.get("fused"))
    for flat in flat_pieces(zero):
        counter = steps.clone().to(flat.device if fused else "cpu")
        inner.state[flat] = {"step": counter} | {kind: torch.zeros_like(flat) for kind in kinds}
    _link(zero)


def _link(zero: Any) -> None:
    """Let stages 1 and 2 find each parameter's part of the state.

    DeepSpeed does so after the first step of the first parameter group, when the others have no state yet.
    """
    if hasattr(zero, "_lazy_init_hp_params_optimizer_state"):
        zero._hp_optimizer_states_linked = False
        zero._lazy_init_hp_params_optimizer_state()


def _set(zero: Any, parameter: Tensor, value: Tensor, kind: str | None) -> None:
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    if not hasattr(parameter, "ds_id"):  # stages 1 and 2
        value = value.to(parameter.device)
        if kind is None:
            safe_set_full_fp32_param(parameter, value)
        else:
            safe_set_full_optimizer_state(parameter, value, kind)
        return
    piece = zero._get_fp32_opt_state_partition(parameter, release_swap_buffers=False, optim_state_key=kind)[0]
    start = piece.numel() * zero._get_param_partition_rank(parameter)
    mine = value.flatten()[start : start + piece.numel()]  # the last rank's piece is filled up with zeros
    piece.data[: mine.numel()].copy_(mine)
