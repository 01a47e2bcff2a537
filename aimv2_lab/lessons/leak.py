"""The leak meter: which inputs reach which outputs of any function, measured by gradients.

The gradient of an output with regard to an input is zero when the input cannot change it. Drawn with
`report.mask_figures.draw_receptive_field`, it is a receptive field; compared with what is allowed, an assertion.
A gradient can also be zero by accident (a dead unit), so wide weights and random inputs make the meter trustworthy.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aimv2_lab.model.patches import patchify


class Leak(AssertionError):
    """An output depends on an input it must not see."""


def leak_matrix(function: Callable[[Tensor], Tensor], inputs: Tensor, patch_size: int | None = None) -> Tensor:
    """Absolute gradients (outputs, inputs) of every output position with regard to every input position.

    `function` maps `inputs` to (B, outputs, …). The inputs are (B, positions, …), or, with `patch_size`, pictures
    (B, 3, height, width) counted by patch. Entry (i, j) sums |∂ (w · output i) / ∂ input j| over the values of input j
    and over the batch; w is a fixed random direction, because a plain sum over normalised features can have gradient
    zero. Raises ValueError when the output carries no gradient.
    """
    watched = inputs.detach().clone().requires_grad_(True)
    outputs = _flat(function(watched))
    if not outputs.requires_grad:
        raise ValueError("the outputs carry no gradient; is the function wrapped in torch.no_grad() or detached?")
    direction = torch.randn(outputs.shape[2], generator=torch.Generator().manual_seed(0)).to(outputs)
    totals = torch.einsum("b o v, v -> o", outputs, direction)
    return torch.stack([_reach(total, watched, patch_size) for total in totals])


def _reach(total: Tensor, watched: Tensor, patch_size: int | None) -> Tensor:
    """Absolute gradient of one number, summed per input position over its values and the batch."""
    (gradient,) = torch.autograd.grad(total, watched, retain_graph=True, materialize_grads=True)
    per_position = gradient if patch_size is None else patchify(gradient, patch_size)
    return _flat(per_position).abs().sum(dim=(0, 2))


def _flat(values: Tensor) -> Tensor:
    """(B, positions, …) as (B, positions, values)."""
    return values.reshape(*values.shape[:2], -1)


def receptive_field(
    function: Callable[[Tensor], Tensor], inputs: Tensor, output: int, patch_size: int | None = None
) -> Tensor:
    """One output's row (inputs,) of the leak matrix, at the cost of one backward pass."""
    return leak_matrix(lambda values: function(values)[:, output : output + 1], inputs, patch_size)[0]


def assert_no_leak(matrix: Tensor, allowed: Tensor, tolerance: float = 0.0) -> None:
    """Raise Leak unless every entry of the matrix (outputs, inputs) that is not `allowed` is zero.

    `allowed` is boolean and of the same shape. Masked attention hides exactly, so the tolerance is zero by default.
    The message names the worst pair. Raises ValueError when shapes differ.
    """
    if matrix.shape != allowed.shape:
        raise ValueError(f"matrix {tuple(matrix.shape)} and allowed {tuple(allowed.shape)} differ in shape")
    forbidden = matrix.masked_fill(allowed, 0.0)
    offending = (forbidden > tolerance) | forbidden.isnan()
    if offending.any():
        worst = int(forbidden.nan_to_num(torch.inf).argmax())
        output, entry = divmod(worst, matrix.shape[1])
        raise Leak(
            f"{int(offending.sum())} forbidden pairs are connected; worst: output {output} sees input {entry} "
            f"with gradient {matrix[output, entry].item():.3g}"
        )
