"""Plausible wrong answers to the exercises of notebook 01."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def smaller_decides(x: Array, y: Array) -> Array:
    """Inside with regard to either side: an endless cross."""
    return np.minimum(np.abs(x) - 0.8, np.abs(y) - 0.8)


def diamond(x: Array, y: Array) -> Array:
    return np.abs(x) + np.abs(y) - 0.8


def unsigned(x: Array, y: Array) -> Array:
    return np.abs(np.maximum(np.abs(x) - 0.8, np.abs(y) - 0.8))


def one_quadrant(x: Array, y: Array) -> Array:
    """Forgets the left and the upper side."""
    return np.maximum(x - 0.8, y - 0.8)


def corners_added(x: Array, y: Array) -> Array:
    """Right where an edge is faced; beyond a corner the two distances are summed."""
    across, down = np.abs(x) - 0.8, np.abs(y) - 0.8
    return np.where((across > 0) & (down > 0), across + down, np.maximum(across, down))


WRONG: dict[str, dict[str, Any]] = {
    "01a": {
        "the smaller distance": smaller_decides,
        "a diamond": diamond,
        "no sign": unsigned,
        "sign the wrong way round": lambda x, y: np.minimum(0.8 - np.abs(x), 0.8 - np.abs(y)),
        "two sides only": one_quadrant,
        "whole side": lambda x, y: np.maximum(np.abs(x) - 1.6, np.abs(y) - 1.6),
        "distances added at corners": corners_added,
    },
    "01b": {"half": 0.5, "three facts only": 9 / 29, "four facts only": 18 / 33, "a seventh": 1 / 7},
    "01c": {"noise of its own": "A", "in every patch": "C"},
    "01d": {"the record": 0.3, "the true share": 0.77, "as shipped": 0.11},
}
