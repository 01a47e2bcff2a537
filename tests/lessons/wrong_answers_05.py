"""Plausible wrong answers to the exercises of notebook 05."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def without_the_first_sum(x: Tensor, first_norm: nn.Module, second_norm: nn.Module, mlp: nn.Module) -> Tensor:
    """A plain MLP block: what is left when attention adds nothing."""
    return x + mlp(second_norm(x))


def norm_in_place_of_the_sum(x: Tensor, first_norm: nn.Module, second_norm: nn.Module, mlp: nn.Module) -> Tensor:
    x = first_norm(x)
    return x + mlp(second_norm(x))


def norms_swapped(x: Tensor, first_norm: nn.Module, second_norm: nn.Module, mlp: nn.Module) -> Tensor:
    x = x + second_norm(x)
    return x + mlp(first_norm(x))


def no_second_residual(x: Tensor, first_norm: nn.Module, second_norm: nn.Module, mlp: nn.Module) -> Tensor:
    x = x + first_norm(x)
    return mlp(second_norm(x))


WRONG: dict[str, dict[str, Any]] = {
    "05a": {
        "no first sum": without_the_first_sum,
        "norm in place of the sum": norm_in_place_of_the_sum,
        "norms swapped": norms_swapped,
        "no second residual": no_second_residual,
    },
    "05b": {
        "head over trunk": 407_108_172 / 680_535_552,
        "percent": 37.4,
        "as wide inside as outside": 12 * 2 * 2048**2 / (12 * 2 * 2048**2 + 680_535_552),
    },
    "05c": {"fewer objects": "A", "no positions": "B", "counts less": "D"},
    "05d": {"standardised": 1.127, "not divided": 1.09, "upside down": 2.716},
}
