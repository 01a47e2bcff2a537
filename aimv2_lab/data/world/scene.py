"""Scenes as data: what is where, before any pixel or word.

A scene is a pure function of (settings, seed, split, index), drawn from a counter-based generator: any scene can be
made at any time, in any process, without making the ones before it. Pictures, captions and every later task are views
of this one record.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPLITS = ("train", "validation", "heldout")

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class SceneObject:
    """One object. Lengths in widths of a square picture, x to the right, y down; rotation in radians; rgb in 0..1.

    `mark` is "none" or one of `settings.MARKS`; it keeps the picture's directions when the object turns.
    """

    shape: str
    colour: str
    size: str
    fill: str
    mark: str
    x: float
    y: float
    radius: float
    rotation: float
    rgb: RGB


@dataclass(frozen=True)
class Ground:
    """What lies behind the objects and is never named.

    The light changes by `gradient` along `gradient_angle` across the picture; the texture is a wave of that amplitude,
    `texture_waves` periods per width, `texture_phase` in periods. Blots are (x, y, radius, shade added).
    """

    rgb: RGB
    gradient: float
    gradient_angle: float
    texture: float
    texture_waves: float
    texture_angle: float
    texture_phase: float
    blots: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Scene:
    """A whole scene, `width` by `height`, whose product is 1; later objects lie over earlier ones."""

    seed: int
    split: str
    index: int
    ground: Ground
    objects: tuple[SceneObject, ...]
    mark_contrast: float
    noise_sigma: float
    width: float = 1.0
    height: float = 1.0

    @property
    def largest(self) -> SceneObject:
        """The object of the largest radius, whose shape probes and fine-tuning classify."""
        return max(self.objects, key=lambda thing: thing.radius)


def generator(seed: int, split: str, index: int, stream: int = 0) -> np.random.Generator:
    """The generator of one (seed, split, index); streams are independent: 0 scene, 1 sensor noise, from 2 captions.

    Raises ValueError for an unknown split or a negative seed or index.
    """
    if split not in SPLITS:
        raise ValueError(f"world split {split!r} does not exist; choose one of {', '.join(SPLITS)}")
    if index < 0 or seed < 0:
        raise ValueError(f"world scene index {index} (seed {seed}): both must be 0 or more")
    key = np.array([seed, SPLITS.index(split)], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, stream, index, 0], dtype=np.uint64)))
