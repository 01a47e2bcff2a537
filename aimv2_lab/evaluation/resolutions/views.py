"""How the test pictures are seen: squashed into a square, its middle cut out, or at their own ratio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from PIL import Image

from aimv2_lab.data.images import decode_image
from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.records import Pair, Source
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.ablations.toys import PROBED_SCENES, PROBED_SEED
from aimv2_lab.evaluation.probing.factors import FactorLabels
from aimv2_lab.evaluation.probing.opening import HELD_OUT, SEEN, Probed
from aimv2_lab.evaluation.probing.parts import part_of
from aimv2_lab.evaluation.probing.pictures import LabelledPictures
from aimv2_lab.evaluation.resolutions.toys import BASE, HIGH, LOW, WORLD


@dataclass(frozen=True)
class View:
    """The size that the world is rendered at, the side of a square of the same area; and what becomes of a picture:
    squashed to that square, the middle of it cut to the square, or kept at its own ratio in whole patches."""

    size: int
    squashed: bool = False
    cropped: bool = False

    @property
    def preprocessing(self) -> Preprocessing:
        """What a picture goes through after being squashed, if it is; kept whole, it has no more patches than the
        square."""
        data = BASE.data
        if self.squashed or self.cropped:
            return Preprocessing(data.mean, data.std, self.size, self.size)
        patch_size = BASE.encoder.patch_size
        return Preprocessing(data.mean, data.std, None, None, patch_size, most=(self.size // patch_size) ** 2)


VIEWS: Mapping[str, View] = {
    "low": View(LOW, squashed=True),
    "high": View(HIGH, squashed=True),
    "native": View(HIGH),
    "cropped": View(HIGH, cropped=True),
}

# Test pictures by how long they are: the longer side over the shorter, from … to below.
RATIOS: Mapping[str, tuple[float, float]] = {
    "up to 1.25": (1.0, 1.25),
    "1.25 to 1.75": (1.25, 1.75),
    "1.75 to 2.4": (1.75, 2.4),
    "2.4 to 3": (2.4, 3.5),
}


@dataclass(frozen=True)
class Squashed:
    """The pictures of a source, each resized to a square whatever its ratio; a `Source`."""

    whole: Source
    side: int

    @property
    def name(self) -> str:
        """The whole's."""
        return self.whole.name

    @property
    def fingerprint(self) -> str:
        """Changes with the whole and with the side."""
        return f"{self.whole.fingerprint}-{self.side}"

    @property
    def shards(self) -> tuple[int, ...]:
        """The whole's."""
        return tuple(self.whole.shards)

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Pair:
        pair = self.whole[index]
        picture = decode_image(pair.image, pair.key).resize((self.side, self.side), Image.Resampling.BICUBIC)
        return replace(pair, image=picture)


@lru_cache(maxsize=len(VIEWS))  # pictures stay rendered from one encoder to the next
def probed(name: str) -> Probed:
    """What a probe is trained on and tested on in a view: all scenes, those of held-out combinations, and the first by
    ratio."""
    view = VIEWS[name]
    train, validation, heldout = map(partial(scenes, view), ("train", "validation", "heldout"))
    ratios = np.array([_ratio(validation, index) for index in range(len(validation))])
    by_ratio = {
        name: part_of(validation, np.flatnonzero((ratios >= least) & (ratios < most)))
        for name, (least, most) in RATIOS.items()
    }
    return Probed(train, {SEEN: validation, HELD_OUT: heldout, **by_ratio})


def scenes(view: View, split: str) -> LabelledPictures:
    """The scenes of a split in a view."""
    spec = f"{WORLD}:{PROBED_SCENES}"
    world = open_world(spec, split, view.size, PROBED_SEED)
    source = Squashed(world, view.size) if view.squashed else world
    return LabelledPictures(source, FactorLabels(world), view.preprocessing)


def _ratio(pictures: LabelledPictures, index: int) -> float:
    """The longer side of a scene over the shorter."""
    labels = pictures.labels
    assert isinstance(labels, FactorLabels)
    scene = labels.world.scene(index)
    return max(scene.width / scene.height, scene.height / scene.width)
