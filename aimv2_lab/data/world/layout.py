"""Where objects go: wholly inside the picture, never too much hidden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aimv2_lab.data.world.marks import MARK_REACH
from aimv2_lab.data.world.render import object_mask
from aimv2_lab.data.world.scene import SceneObject
from aimv2_lab.data.world.settings import WorldSettings
from aimv2_lab.data.world.shapes import REACH

# "left of" and "above" hold from this distance between centres on (picture widths); below it neither direction does.
RELATION_MARGIN = 0.12
_EDGE = 0.01  # free space to the picture's edge and between objects that must stay apart
_CHECK_SIZE = 96  # visible shares are measured on a grid of this size
_SHARE_SLACK = 0.03  # and kept this much above the bound, so that it also holds on other grids


def place(
    settings: WorldSettings,
    draw: np.random.Generator,
    objects: list[SceneObject],
    width: float = 1.0,
    height: float = 1.0,
) -> tuple[SceneObject, ...]:
    """The objects with their centres drawn in a picture of those sides, back to front."""
    if settings.arrangement == "aligned" and len(objects) == 2:
        return _place_aligned(draw, objects[0], objects[1])
    for _ in range(500):  # a layout that cannot be completed is drawn anew
        placed = _place_freely(settings, draw, objects, (width, height))
        if placed is not None:
            return placed
    raise ValueError(f"no room for {len(objects)} objects of radii {settings.radii}; lower the radii or min_visible")


def reach(thing: SceneObject) -> float:
    """Radius of the circle around the centre that holds the whole object, in picture widths."""
    return thing.radius * REACH[thing.shape]


def _place_aligned(draw: np.random.Generator, a: SceneObject, b: SceneObject) -> tuple[SceneObject, SceneObject]:
    """Two objects side by side or one above the other, the other offset too small to name."""
    vertical, swapped = draw.integers(2, size=2)
    first, second = (b, a) if swapped else (a, b)
    room = 1 - 2 * (reach(first) + reach(second)) - 3 * _EDGE
    if room < 0:
        raise ValueError(f"no room for a {a.size} {a.shape} in line with a {b.size} {b.shape}: lower the radii")
    before, after = np.sort(draw.random(2)) * room
    along = {first: reach(first) + _EDGE + before, second: 1 - reach(second) - _EDGE - (room - after)}
    wide, narrow = (a, b) if reach(a) > reach(b) else (b, a)
    margin = reach(wide) + _EDGE
    across = {wide: margin + (1 - 2 * margin) * draw.random()}
    offset = across[wide] + 0.7 * RELATION_MARGIN * (2 * draw.random() - 1)
    margin = reach(narrow) + _EDGE
    across[narrow] = min(max(offset, margin), 1 - margin)
    if vertical:
        return replace(a, x=across[a], y=along[a]), replace(b, x=across[b], y=along[b])
    return replace(a, x=along[a], y=across[a]), replace(b, x=along[b], y=across[b])


def _place_freely(
    settings: WorldSettings,
    draw: np.random.Generator,
    objects: list[SceneObject],
    sides: tuple[float, float],
    attempts: int = 60,
) -> tuple[SceneObject, ...] | None:
    """Centres drawn uniformly, one object after the other; None when one finds no place."""
    bound = min(settings.min_visible + _SHARE_SLACK, 1.0)
    placed: list[SceneObject] = []
    full: list[NDArray[np.bool_]] = []
    visible: list[NDArray[np.bool_]] = []
    for thing in objects:
        margin = reach(thing) + _EDGE
        for x, y in margin + (np.array(sides) - 2 * margin) * draw.random((attempts, 2)):
            candidate = replace(thing, x=float(x), y=float(y))
            if not _apart(candidate, placed, settings.min_visible):
                continue
            mask = object_mask(candidate, _CHECK_SIZE, *sides)
            left = [v & ~mask for v in visible]
            if all(v.sum() >= bound * m.sum() for v, m in zip(left, full, strict=True)):
                break
        else:
            return None
        placed, full, visible = [*placed, candidate], [*full, mask], [*left, mask]
    return tuple(placed)


def _apart(candidate: SceneObject, placed: list[SceneObject], min_visible: float) -> bool:
    """Whether the candidate keeps clear of what it may not cover: whole objects where `min_visible` is 1 or where they
    have its colour, with which it would melt into one; else the marks of objects, which captions name."""
    for other in placed:
        whole = min_visible == 1 or other.colour == candidate.colour
        kept = reach(other) + _EDGE if whole else MARK_REACH * other.radius if other.mark != "none" else 0.0
        if kept and np.hypot(candidate.x - other.x, candidate.y - other.y) < reach(candidate) + kept:
            return False
    return True
