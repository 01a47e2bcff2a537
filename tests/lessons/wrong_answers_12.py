"""Plausible wrong answers to the exercises of notebook 12."""

from __future__ import annotations

from typing import Any

from einops import rearrange
from torch import Tensor


def rows_for_columns(strip: Tensor, columns: int) -> Tensor:
    """Right for square pictures."""
    size = strip.shape[1]
    return rearrange(strip, "c p (rows columns q) -> c (rows p) (columns q)", rows=columns, q=size)


def down_the_columns(strip: Tensor, columns: int) -> Tensor:
    size = strip.shape[1]
    return rearrange(strip, "c p (columns rows q) -> c (rows p) (columns q)", columns=columns, q=size)


def lines_cut(strip: Tensor, columns: int) -> Tensor:
    """As if the strip's lines were the picture's, one after the other."""
    return strip.reshape(3, -1, columns * strip.shape[1])


WRONG: dict[str, dict[str, Any]] = {
    "12a": {
        "rows for columns": rows_for_columns,
        "down the columns": down_the_columns,
        "lines cut": lines_cut,
        "left as it is": lambda strip, columns: strip,
    },
    "12b": {"the mean of 128 and 4,096": 992, "at the fixed size": 8192, "A itself": 724},
    "12c": {"linear": 1.0, "quadratic": 16.0, "against one": 25.4, "upside down": 0.63},
    "12d": {"stretched": "A", "as if trained": "C", "repeats": "D"},
}
