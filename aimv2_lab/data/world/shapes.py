"""The eight shapes as signed distance fields and outlines, in units of an object's radius.

A field is negative inside. Outside its own zero line it need only be a good distance near the edge, which is all that
anti-aliasing reads. Fields use only operations that every processor rounds alike (no sine, no hypot), so that pictures
are the same everywhere. Every shape is scaled so that its area is about that of a disc of radius 0.9: size words then
mean the same for all shapes. y points down, as in pictures; unturned, stars, triangles and hearts stand upright.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_TRIANGLE, _SQUARE, _DISC = 1.39, 0.8, 0.9
_STAR, _STAR_INNER = 1.30, 0.52
_COS36, _SIN36 = 0.809016994, 0.587785252
_CROSS, _CROSS_ARM = 1.05, 0.36
_HALF_DISC, _HALF_DISC_DROP = 1.25, 0.53
_BAR = (1.25, 0.5)
_HEART, _HEART_TIP = 1.67, 1.09


def length(x: Array, y: Array) -> Array:
    """Length of (x, y)."""
    return np.sqrt(x * x + y * y)


def circle(x: Array, y: Array) -> Array:
    """Disc around the origin."""
    return length(x, y) - _DISC


def _box(x: Array, y: Array, half_width: float, half_height: float) -> Array:
    """Axis-parallel rectangle around the origin."""
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def square(x: Array, y: Array) -> Array:
    """Square around the origin."""
    return _box(x, y, _SQUARE, _SQUARE)


def bar(x: Array, y: Array) -> Array:
    """Rectangle two and a half times as wide as high."""
    return _box(x, y, *_BAR)


def triangle(x: Array, y: Array) -> Array:
    """Equilateral triangle, point up, around its centroid."""
    return np.maximum(np.abs(x) * 0.8660254 - y * 0.5, y) - _TRIANGLE / 2


def star(x: Array, y: Array) -> Array:
    """Five-pointed star, one point up: the plane is folded onto one half of one point, which is a single edge."""
    x, up = np.abs(x), -y
    for normal_x in (_COS36, -_COS36):
        beyond = 2 * np.maximum(x * normal_x - up * _SIN36, 0)
        x, up = x - beyond * normal_x, up + beyond * _SIN36
    along, across = _STAR_INNER * _STAR * _COS36 - _STAR, _STAR_INNER * _STAR * _SIN36
    return ((up - _STAR) * across - np.abs(x) * along) / math.hypot(along, across)


def cross(x: Array, y: Array) -> Array:
    """Plus sign."""
    return np.minimum(_box(x, y, _CROSS, _CROSS_ARM), _box(x, y, _CROSS_ARM, _CROSS))


def semicircle(x: Array, y: Array) -> Array:
    """Upper half of a disc, moved so that its centroid is the origin."""
    below = y - _HALF_DISC_DROP
    return np.maximum(length(x, below) - _HALF_DISC, below)


def heart(x: Array, y: Array) -> Array:
    """Two half discs on the upper sides of a square that stands on its corner."""
    x, up = np.abs(x) / _HEART, (_HEART_TIP - y) / _HEART
    lobe = length(x - 0.25, up - 0.75) - 0.3535534
    body = np.maximum((x - up) * 0.7071068, -length(x, up - 1.0))
    return np.where(x + up > 1.0, lobe, body) * _HEART


FIELDS: dict[str, Callable[[Array, Array], Array]] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "star": star,
    "cross": cross,
    "heart": heart,
    "semicircle": semicircle,
    "bar": bar,
}


def _arc(cx: float, cy: float, radius: float, start: float, stop: float) -> Array:
    """Points of an arc of a circle, half a degree apart, angles in degrees from the x axis towards +y."""
    angle = np.radians(np.arange(start, stop + 0.25, 0.5))
    return np.stack([cx + radius * np.cos(angle), cy + radius * np.sin(angle)], axis=-1)


def _outlines() -> dict[str, Array]:
    """Points on the edge of each shape that hold every extreme of it under any rotation."""
    tips = np.arange(5) * 2 * np.pi / 5
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=float)
    up = np.radians([-90.0, 30.0, 150.0])
    lobe = _arc(0.25 * _HEART, _HEART_TIP - 0.75 * _HEART, 0.3535534 * _HEART, -180, 180)
    lobe = lobe[heart(lobe[:, 0], lobe[:, 1]) > -1e-9]
    half_disc = _arc(0, _HALF_DISC_DROP, _HALF_DISC, -180, 0)
    return {
        "circle": _arc(0, 0, _DISC, 0, 360),
        "square": corners * _SQUARE,
        "triangle": np.stack([np.cos(up), np.sin(up)], axis=-1) * _TRIANGLE,
        "star": np.stack([np.sin(tips), -np.cos(tips)], axis=-1) * _STAR,
        "cross": np.concatenate([corners * (_CROSS, _CROSS_ARM), corners * (_CROSS_ARM, _CROSS)]),
        "heart": np.concatenate([lobe, lobe * (-1, 1), [(0, _HEART_TIP)]]),
        "semicircle": half_disc,
        "bar": corners * _BAR,
    }


OUTLINES = _outlines()

# Largest distance of any point of a shape from its origin, in radii.
REACH = {shape: float(np.hypot(*outline.T).max()) for shape, outline in OUTLINES.items()}
