"""Pictures, masks and boxes of scenes, all from the same signed distance fields."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aimv2_lab.data.world.marks import mark_coverage
from aimv2_lab.data.world.scene import Scene, SceneObject, generator
from aimv2_lab.data.world.shapes import FIELDS, OUTLINES, REACH, length

Array = NDArray[np.floating]

HOLLOW_WIDTH = 0.22  # width of a hollow object's line, in radii
_LUMINANCE = np.array([0.299, 0.587, 0.114])
NOISE_STREAM = 1


def render(scene: Scene, size: int) -> NDArray[np.uint8]:
    """Draw a scene. Shape (height * size, width * size, 3), rounded, 8-bit RGB, rows from the top.

    Edges are anti-aliased over one pixel. Sensor noise is part of the scene: drawing again gives the same bytes.
    Raises ValueError when `size` is not positive.
    """
    if size < 1:
        raise ValueError(f"picture size {size}: it must be at least 1 pixel")
    picture = _draw_ground(scene, size)
    for thing in scene.objects:
        draw_object(picture, thing, scene.mark_contrast, size)
    if scene.noise_sigma > 0:
        draw = generator(scene.seed, scene.split, scene.index, NOISE_STREAM)
        picture += draw.standard_normal(picture.shape, dtype=np.float32) * np.float32(scene.noise_sigma / 255)
    picture *= 255
    picture += 0.5
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)


def boxes(scene: Scene) -> NDArray[np.float64]:
    """Bounding boxes of the whole objects, hidden parts included. Shape (objects, 4): x0, y0, x1, y1, in widths of a
    square picture."""
    found = np.zeros((len(scene.objects), 4))
    for i, thing in enumerate(scene.objects):
        cos, sin = np.cos(thing.rotation), np.sin(thing.rotation)
        points = OUTLINES[thing.shape] @ np.array([[cos, sin], [-sin, cos]]) * thing.radius + (thing.x, thing.y)
        found[i] = *points.min(axis=0), *points.max(axis=0)
    return found


def masks(scene: Scene, size: int, visible: bool = False) -> NDArray[np.bool_]:
    """Pixels whose centres lie on each object. Shape (objects, height * size, width * size).

    Whole objects by default; with `visible`, less what later objects cover.
    """
    found = np.stack([object_mask(thing, size, scene.width, scene.height) for thing in scene.objects])
    if visible:
        for i in range(len(found) - 1):
            found[i] &= ~found[i + 1 :].any(axis=0)
    return found


def object_mask(thing: SceneObject, size: int, width: float = 1.0, height: float = 1.0) -> NDArray[np.bool_]:
    """Pixels whose centres lie on one object. Shape (height * size, width * size)."""
    mask = np.zeros((round(height * size), round(width * size)), dtype=bool)
    rows, columns = _window(thing, size, *mask.shape)
    mask[rows, columns] = _field(thing, *_offsets(thing, rows, columns, size)) <= 0
    return mask


def _field(thing: SceneObject, dx: Array, dy: Array) -> Array:
    """Signed distance to the object's edge in radii, at offsets (radii) from its centre."""
    cos, sin = np.float32(np.cos(thing.rotation)), np.float32(np.sin(thing.rotation))
    field = FIELDS[thing.shape](cos * dx + sin * dy, cos * dy - sin * dx)
    if thing.fill == "hollow":
        return np.abs(field + HOLLOW_WIDTH / 2) - HOLLOW_WIDTH / 2
    return field


def draw_object(picture: Array, thing: SceneObject, mark_contrast: float, size: int) -> None:
    """Blend one object, with its mark, onto the picture (height * size, width * size, 3) in place; colours in 0 … 1.

    Its edge is anti-aliased over one pixel. `mark_contrast` is the share of the way from the object's colour to white,
    or to black on light objects, that its mark goes.
    """
    rows, columns = _window(thing, size, *picture.shape[:2])
    dx, dy = _offsets(thing, rows, columns, size)
    pixel = np.float32(1 / (size * thing.radius))  # one pixel in radii
    cover = np.clip(0.5 - _field(thing, dx, dy) / pixel, 0, 1)[..., None]
    colour = np.array(thing.rgb, dtype=np.float32)
    if thing.mark != "none":
        target = 0.0 if float(colour @ _LUMINANCE) > 0.5 else 1.0
        strength = mark_coverage(thing.mark, dx, dy, pixel)[..., None] * np.float32(mark_contrast)
        colour = colour + strength * (np.float32(target) - colour)
    part = picture[rows, columns]
    part += cover * (colour - part)


def _draw_ground(scene: Scene, size: int) -> Array:
    """Colour, slope of light, texture and blots. Shape (height * size, width * size, 3), float32, 0..1."""
    ground, x = scene.ground, _centres(round(scene.width * size), size)[None, :]
    y = _centres(round(scene.height * size), size)[:, None]
    light = (x - np.float32(scene.width / 2)) * np.float32(ground.gradient * np.cos(ground.gradient_angle))
    light = light + (y - np.float32(scene.height / 2)) * np.float32(ground.gradient * np.sin(ground.gradient_angle))
    if ground.texture:
        angle, waves = ground.texture_angle, ground.texture_waves
        along = x * np.float32(waves * np.cos(angle)) + y * np.float32(waves * np.sin(angle))
        light += np.float32(ground.texture) * _wave(along + np.float32(ground.texture_phase))
    for blot_x, blot_y, radius, shade in ground.blots:
        distance = length(x - np.float32(blot_x), y - np.float32(blot_y)) - np.float32(radius)
        light += np.float32(shade) * np.clip(0.5 - distance * size, 0, 1)
    return light[..., None] + np.array(ground.rgb, dtype=np.float32)


def _wave(turns: Array) -> Array:
    """A wave of amplitude 1 and period 1 made of parabolas: like a sine, but rounded alike by every processor."""
    u = 2 * (turns - np.floor(turns)) - 1
    return 4 * u * (1 - np.abs(u))


@lru_cache(maxsize=8)
def _centres(pixels: int, size: int) -> Array:
    """Where the centres of so many pixels lie, `size` of them to a width of 1."""
    return ((np.arange(pixels) + 0.5) / size).astype(np.float32)


def _window(thing: SceneObject, size: int, rows: int, columns: int) -> tuple[slice, slice]:
    """Which of the picture's rows and columns hold the object, with a pixel to spare."""
    half = thing.radius * REACH[thing.shape]
    down, across = (
        slice(max(int((c - half) * size) - 1, 0), min(int((c + half) * size) + 2, end))
        for c, end in ((thing.y, rows), (thing.x, columns))
    )
    return down, across


def _offsets(thing: SceneObject, rows: slice, columns: slice, size: int) -> tuple[Array, Array]:
    """Offsets of pixel centres from the object's centre, in radii: dx (1, columns) and dy (rows, 1)."""
    x, y = _centres(columns.stop, size)[None, columns], _centres(rows.stop, size)[rows, None]
    scale = np.float32(1 / thing.radius)
    return (x - np.float32(thing.x)) * scale, (y - np.float32(thing.y)) * scale
