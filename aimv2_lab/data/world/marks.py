"""Marks on objects: stripes, dots and simple letters, in the picture's directions."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from aimv2_lab.data.world.shapes import length

Array = NDArray[np.floating]

# All lengths in radii of the marked object. Dots and letters stay within MARK_REACH of its centre.
MARK_REACH = 0.6
STRIPE_PERIOD = 0.56
DOT_RADIUS = 0.17
LETTER_HEIGHT, LETTER_WIDTH, STROKE = 0.42, 0.30, 0.09  # half of each

_DOTS: dict[str, tuple[tuple[float, float], ...]] = {
    "one dot": ((0.0, 0.0),),
    "two dots": ((-0.28, 0.0), (0.28, 0.0)),
    "three dots": ((0.0, -0.26), (-0.28, 0.2), (0.28, 0.2)),
}

# Strokes of letters from (x0, y0) to (x1, y1) in half widths and half heights.
_LETTERS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "glyph h": ((-1, -1, -1, 1), (1, -1, 1, 1), (-1, 0, 1, 0)),
    "glyph l": ((-1, -1, -1, 1), (-1, 1, 1, 1)),
    "glyph t": ((-1, -1, 1, -1), (0, -1, 0, 1)),
    "glyph x": ((-1, -1, 1, 1), (-1, 1, 1, -1)),
}


def mark_coverage(mark: str, dx: Array, dy: Array, pixel: float | np.floating) -> Array:
    """Share of each pixel that a mark covers, 0..1; dx (1, columns), dy (rows, 1) and `pixel` in radii."""
    if mark in _DOTS:
        field = reduce(np.minimum, (length(dx - x, dy - y) for x, y in _DOTS[mark])) - DOT_RADIUS
    elif mark in _LETTERS:
        field = reduce(np.minimum, (_stroke(dx, dy, *stroke) for stroke in _LETTERS[mark])) - STROKE
    else:
        field = _stripes(dy if mark == "horizontal stripes" else dx)
    return np.clip(0.5 - field / pixel, 0, 1)


def _stripes(across: Array) -> Array:
    """Signed distance to the nearest edge of a stripe; a stripe runs through the centre."""
    return np.abs((across / STRIPE_PERIOD + 0.5) % 1 - 0.5) * STRIPE_PERIOD - STRIPE_PERIOD / 4


def _stroke(dx: Array, dy: Array, x0: int, y0: int, x1: int, y1: int) -> Array:
    """Distance to a line segment between two corners of the letter's frame."""
    ax, ay = x0 * LETTER_WIDTH, y0 * LETTER_HEIGHT
    ux, uy = (x1 - x0) * LETTER_WIDTH, (y1 - y0) * LETTER_HEIGHT
    along = np.clip(((dx - ax) * ux + (dy - ay) * uy) / (ux * ux + uy * uy), 0, 1)
    return length(dx - ax - along * ux, dy - ay - along * uy)
