"""One optimizer out of two: SOAP or Muon for the hidden matrices, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

FUSED = {"qkv.weight": ("q", "k", "v")}  # matrices in one parameter, stacked by rows: each is preconditioned alone


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether SOAP or Muon may have it: a linear layer's weight between hidden features.

    Not the patch projection, the token table and the heads, whose inputs or outputs are data (Muon's reference code);
    that SOAP leaves them to AdamW too is our choice.
    """
    inside = ".blocks." in f".{name}" or name.endswith(".projection.weight")
    return parameter.ndim == 2 and inside


def parts_of(name: str) -> tuple[str, ...]:
    """The matrices in one parameter by their names, one without a name where it is a single one."""
    return next((parts for ending, parts in FUSED.items() if name.endswith(ending)), ("",))


class MatrixOptimizer(Optimizer):
    """SOAP or Muon over `matrices` and AdamW over `rest`, stepped as one; `param_groups` has the matrices first.

    `build` makes the matrix method over a list of tensors. They are views of the model's parameters, q, k and v apart,
    so that parameters keep their names and each matrix its own preconditioner. Raises ValueError where there is no
    matrix, as when a wrapper has flattened the parameters.
    """

    def __init__(
        self, matrices: Mapping[str, nn.Parameter], build: Callable[[list[Tensor]], Optimizer], rest: AdamW
    ) -> None:
        if not matrices:
            raise ValueError(f"no hidden matrix for SOAP or Muon: {_FLATTENED}")
        self._views = {parameter: _split(name, parameter) for name, parameter in matrices.items()}
        self.matrix_method = build([view for views in self._views.values() for view in views.values()])
        self.rest = rest
        groups = ({"params": list(matrices.values())}, *({"params": group["params"]} for group in rest.param_groups))
        settings = ({name: group[name] for name in ("lr", "weight_decay")} for group in self._inner_groups())
        super().__init__([group | setting for group, setting in zip(groups, settings, strict=True)], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of everything, each group with the learning rate that `param_groups` says."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        self._refuse_replaced_parameters()
        for ours, inner in zip(self.param_groups, self._inner_groups(), strict=True):
            inner["lr"] = ours["lr"]
        for parameter in self._views:
            self._point_views_at(parameter)
        self.matrix_method.step()
        self.rest.step()
        for view in chain.from_iterable(views.values() for views in self._views.values()):
            view.grad = None
        return loss

    def holders(self, name: str, parameter: nn.Parameter) -> Iterator[tuple[str, Optimizer, Tensor]]:
        """(name, optimizer, tensor) of each tensor that stands for one of the model's parameters."""
        if parameter not in self._views:
            yield name, self.rest, parameter
        for part, view in self._views.get(parameter, {}).items():
            yield f"{name}.{part}" if part else name, self.matrix_method, view

    def state_dict(self) -> dict[str, Any]:
        """Both optimizers' own."""
        return {"matrix_method": self.matrix_method.state_dict(), "rest": self.rest.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.matrix_method.load_state_dict(state_dict["matrix_method"])
        self.rest.load_state_dict(state_dict["rest"])

    def _inner_groups(self) -> Iterator[dict[str, Any]]:
        return chain(self.matrix_method.param_groups, self.rest.param_groups)

    def _point_views_at(self, parameter: nn.Parameter) -> None:
        """Anew at each step, because a model that was moved keeps its parameters but not their memory."""
        views = self._views[parameter].values()
        gradients = [None] * len(views) if parameter.grad is None else parameter.grad.chunk(len(views))
        for view, data, gradient in zip(views, parameter.detach().chunk(len(views)), gradients, strict=True):
            view.data, view.grad = data, gradient

    def _refuse_replaced_parameters(self) -> None:
        """Who puts other tensors into `param_groups` would see them left as they are."""
        held = [list(self._views), *(group["params"] for group in self.rest.param_groups)]
        given = [group["params"] for group in self.param_groups]
        if [[id(p) for p in parameters] for parameters in held] != [
            [id(p) for p in parameters] for parameters in given
        ]:
            raise ValueError(f"param_groups no longer hold the model's parameters: {_FLATTENED}")


_FLATTENED = "ZeRO 1 … 3 flattens parameters, so set engine.zero_stage 0, or training.optimizer adamw"


def _split(name: str, parameter: nn.Parameter) -> dict[str, nn.Parameter]:
    """Part -> view of a parameter's rows."""
    parts = parts_of(name)
    return {part: nn.Parameter(rows) for part, rows in zip(parts, parameter.detach().chunk(len(parts)), strict=True)}
