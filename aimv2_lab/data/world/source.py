"""The generated world as a source of picture-caption pairs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aimv2_lab.data.captions import Caption, alt_caption, synthetic_caption
from aimv2_lab.data.records import Pair
from aimv2_lab.data.world.making import make_scene
from aimv2_lab.data.world.render import render
from aimv2_lab.data.world.scene import Scene, generator
from aimv2_lab.data.world.settings import WorldSettings, world_settings

# Scenes of a split when the caller names no number. Our choice.
LENGTHS = {"train": 10_000, "validation": 2_048, "heldout": 2_048}
_CAPTION_STREAM = 2  # the first of the caption streams; 0 is the scene's, 1 the sensor noise's
_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class WorldSource:
    """Scenes 0 … length-1 of a split, rendered and captioned on demand; a `Source`.

    Every pair has `views` captions, of which `alt_share` of the preset are alt texts (they come last). Rendered
    pictures are kept, up to 256 MiB, because epochs repeat them.
    """

    preset: str
    split: str
    length: int = 0  # 0: the split's usual length
    seed: int = 0
    size: int = 48
    views: int = 4
    _kept: dict[int, tuple[NDArray[np.uint8], tuple[str, ...]]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        world_settings(self.preset)
        generator(self.seed, self.split, 0)
        for name, value, least in (("length", self.length, 0), ("size", self.size, 1), ("views", self.views, 1)):
            if value < least:
                raise ValueError(f"WorldSource {name} = {value}; it must be at least {least}")

    @property
    def settings(self) -> WorldSettings:
        """The preset's knobs."""
        return world_settings(self.preset)

    @property
    def name(self) -> str:
        """As `open_world` takes it."""
        return f"world:{self.preset}"

    @property
    def fingerprint(self) -> str:
        """Changes with the preset's settings, the code's version, the split, length, seed, size and views."""
        parts = [self.settings.fingerprint, self.split, len(self), self.seed, self.size, self.views]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def shards(self) -> tuple[int, ...]:
        """One: there are no files."""
        return (len(self),)

    def __len__(self) -> int:
        return self.length or LENGTHS[self.split]

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {self.name} {self.split}, which has {len(self)}")
        picture, captions = self._kept.get(index) or self._make(index)
        return Pair(f"{self.split}-{index:08d}", Image.fromarray(picture), captions)

    def scene(self, index: int) -> Scene:
        """The scene behind pair `index`."""
        return make_scene(self.settings, self.seed, self.split, index)

    def captions(self, index: int) -> tuple[Caption, ...]:
        """The captions of pair `index` with the facts that they state."""
        return self._captions(self.scene(index))

    def _captions(self, scene: Scene) -> tuple[Caption, ...]:
        settings = self.settings
        clean = self.views - round(self.views * settings.alt_share)
        kinds = [synthetic_caption] * clean + [alt_caption] * (self.views - clean)
        draws = (generator(self.seed, self.split, scene.index, _CAPTION_STREAM + view) for view in range(self.views))
        return tuple(kind(scene, settings, draw) for kind, draw in zip(kinds, draws, strict=True))

    def _make(self, index: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """Render and caption, and keep the result while there is room."""
        scene = self.scene(index)
        made = render(scene, self.size), tuple(caption.text for caption in self._captions(scene))
        if (len(self._kept) + 1) * made[0].nbytes <= _CACHE_BYTES:
            self._kept[index] = made
        return made


@dataclass(frozen=True)
class ShapeSource:
    """The scenes of a world, each with the shape of its largest object as its label; a `Source`."""

    world: WorldSource

    @property
    def name(self) -> str:
        """The world's."""
        return self.world.name

    @property
    def fingerprint(self) -> str:
        """The world's, which decides on the labels too."""
        return self.world.fingerprint

    @property
    def shards(self) -> tuple[int, ...]:
        """The world's."""
        return self.world.shards

    @property
    def classes(self) -> tuple[str, ...]:
        """The world's shapes in its own order."""
        return self.world.settings.shapes

    def __len__(self) -> int:
        return len(self.world)

    def __getitem__(self, index: int) -> Pair:
        return replace(self.world[index], captions=(self.world.scene(index).largest.shape,))


@lru_cache(maxsize=4)  # so that runs one after the other, and their probes, render a scene once
def open_world(spec: str, split: str = "train", size: int = 48, seed: int = 0, views: int = 4) -> WorldSource:
    """The source that `spec` names: "world:PRESET" or "world:PRESET:LENGTH", where the length is the training split's.

    Raises KeyError for an unknown preset (with the nearest names), ValueError for anything else that is wrong.
    """
    kind, _, rest = spec.partition(":")
    preset, _, length = rest.partition(":")
    if kind != "world" or not preset:
        raise ValueError(f"{spec!r} does not name a generated world; write world:PRESET or world:PRESET:LENGTH")
    if length and not (length.isdecimal() and int(length) > 0):
        raise ValueError(f"length {length!r} in {spec!r} is not a positive whole number of scenes")
    return WorldSource(preset, split, int(length or 0) if split == "train" else 0, seed, size, views)
