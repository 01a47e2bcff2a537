"""Plausible wrong answers to the exercises of notebook 04."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def rows_scaled(norm_weight: Tensor, linear_weight: Tensor) -> Tensor:
    """Scales what comes out of the linear; agrees in shape where the linear is square."""
    return norm_weight[: len(linear_weight), None] * linear_weight[:, : len(norm_weight)]


def divided(norm_weight: Tensor, linear_weight: Tensor) -> Tensor:
    return linear_weight / norm_weight


def offset_by_one(norm_weight: Tensor, linear_weight: Tensor) -> Tensor:
    """The norm weight of models that store its difference from 1."""
    return linear_weight * (1 + norm_weight)


WRONG: dict[str, dict[str, Any]] = {
    "04a": {
        "rows": rows_scaled,
        "divided": divided,
        "one added": offset_by_one,
        "left alone": lambda norm, linear: linear,
    },
    "04b": {
        "no norms": 12_845_056,
        "two matrices in SwiGLU": 9_963_520,
        "attention without its output": 11_798_528,
        "the whole trunk": 308_330_496,
    },
    "04c": {"final norm": "A", "undone later": "C"},
    "04d": {"linear growth": 4.0, "no growth": 1.0, "the ratio upside down": 0.5},
}
