"""The knobs of the generated world and its three presets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

from aimv2_lab.fields import unknown_name

# Raised whenever the same settings, seed and index give another scene, picture or caption than before.
CODE_VERSION = 1

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "semicircle", "bar")
SIZES = ("small", "medium", "large")
FILLS = ("solid", "hollow")
GLYPHS = ("glyph h", "glyph l", "glyph t", "glyph x")
MARKS = ("horizontal stripes", "vertical stripes", "one dot", "two dots", "three dots", *GLYPHS)
RELATIONS = ("left of", "above", "larger than", "same colour as")

# Named colours as 8-bit RGB. They lie far apart, so that no colour is the neighbour of another after jitter and noise.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 39, 40),
    "orange": (255, 140, 26),
    "yellow": (250, 220, 40),
    "green": (40, 150, 60),
    "cyan": (50, 200, 215),
    "blue": (40, 80, 200),
    "purple": (130, 60, 170),
    "pink": (245, 130, 190),
    "brown": (120, 75, 40),
    "black": (25, 25, 30),
}


def diagonal(shapes: tuple[str, ...], colours: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """One colour per shape, all different: held-out combinations that keep every shape and colour in training."""
    return tuple((shape, colours[(3 * i + 1) % len(colours)]) for i, shape in enumerate(shapes))


@dataclass(frozen=True)
class WorldSettings:
    """What a scene may hold, how it looks, and what its captions say.

    Lengths are in widths of a square picture, `rotation` in radians (largest turn either way), `noise_sigma` in 8-bit
    levels, `mark_contrast`, `ground_energy` and all shares and rates in 0..1. Our choice throughout; the factor classes
    that `separating` sets apart (loud and unnamed, quiet and named) are explained in the notebooks.
    """

    shapes: tuple[str, ...]
    colours: tuple[str, ...]
    sizes: tuple[str, ...]
    radii: tuple[float, ...]  # by size: radius of a disc of about the object's area
    n_objects: tuple[int, int]  # fewest and most
    held_out: tuple[tuple[str, str], ...]  # (shape, colour) pairs of the "heldout" split only
    distinct: tuple[str, ...] = ()  # attributes in which no two objects of a scene agree
    arrangement: Literal["aligned", "free"] = "free"  # aligned: exactly one spatial relation holds
    ratios: tuple[float, float] = (1.0, 1.0)  # least and greatest width / height of a picture; its area is always 1
    min_visible: float = 1.0  # smallest visible share of an object, from 64 px on; 1 keeps objects apart
    fills: tuple[str, ...] = ("solid",)
    marks: tuple[str, ...] = ()
    mark_rate: float = 0.0  # share of solid objects above the smallest size that carry a mark
    mark_contrast: float = 0.0
    rotation: float = 0.0
    colour_jitter: float = 0.0
    ground_energy: float = 0.0
    clutter: int = 0  # small unnamed blots on the ground
    noise_sigma: float = 0.0
    relations: tuple[str, ...] = ("left of", "above")
    caption_fact_rate: float = 0.5  # share of the nameable facts that a clean caption states
    caption_noise: float = 0.0  # chance that a fact of an alt text is wrong
    alt_share: float = 0.0  # share of a scene's captions that are alt texts

    def __post_init__(self) -> None:
        if len(self.radii) != len(self.sizes):
            raise ValueError(f"{len(self.radii)} radii for {len(self.sizes)} sizes; give one radius per size")
        fewest, most = self.n_objects
        if not 1 <= fewest <= most <= 6:
            raise ValueError(f"n_objects = {self.n_objects}; it must be (fewest, most) with 1 <= fewest <= most <= 6")
        if not 0 < self.ratios[0] <= self.ratios[1]:
            raise ValueError(f"ratios = {self.ratios}; it must be (least, greatest) with 0 < least <= greatest")
        if self.ratios != (1.0, 1.0) and self.arrangement == "aligned":
            raise ValueError(f"ratios = {self.ratios} with arrangement = 'aligned', which is for squares; choose free")

    @property
    def fingerprint(self) -> str:
        """Hex digest of all settings and of the version of the code that reads them."""
        knobs = asdict(self)
        if self.ratios == (1.0, 1.0):
            del knobs["ratios"]  # a later knob, without which every world is what it was
        text = json.dumps({"version": CODE_VERSION, **knobs}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_EASY_SHAPES = ("circle", "square", "triangle", "cross", "bar")
_EASY_COLOURS = ("red", "yellow", "green", "blue", "purple", "pink", "black")
_EIGHT_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")

_CONTRAST = WorldSettings(
    shapes=("circle", "triangle", "cross"),
    colours=("red", "yellow", "green", "blue", "purple"),
    sizes=("small", "large"),
    radii=(0.145, 0.215),
    n_objects=(1, 2),
    held_out=(("circle", "red"), ("triangle", "purple"), ("cross", "yellow")),
    distinct=("shape", "colour", "size"),
    arrangement="aligned",
    marks=("horizontal stripes", "vertical stripes", "one dot"),
    mark_rate=1.0,
    mark_contrast=0.3,
    rotation=0.1,
    colour_jitter=0.02,
    ground_energy=0.4,
    noise_sigma=8.0,
    caption_fact_rate=1.0,
)

WORLDS: dict[str, WorldSettings] = {
    # One large and one small object, apart, on a light ground: learnable at 48 px in minutes on a CPU.
    "easy": WorldSettings(
        shapes=_EASY_SHAPES,
        colours=_EASY_COLOURS,
        sizes=("small", "large"),
        radii=(0.12, 0.215),
        n_objects=(2, 2),
        held_out=diagonal(_EASY_SHAPES, _EASY_COLOURS),
        distinct=("shape", "colour", "size"),
        arrangement="aligned",
        rotation=0.1,
        ground_energy=0.15,
        noise_sigma=2.0,
    ),
    # Loud, never named ground against quiet, named marks: sets pixel and caption objectives apart.
    "separating": WorldSettings(
        shapes=SHAPES,
        colours=_EIGHT_COLOURS,
        sizes=("small", "large"),
        radii=(0.095, 0.165),
        n_objects=(2, 3),
        held_out=diagonal(SHAPES, _EIGHT_COLOURS),
        marks=MARKS[:5],
        mark_rate=1.0,
        mark_contrast=0.35,
        rotation=3.1416,
        colour_jitter=0.02,
        ground_energy=1.0,
        clutter=6,
        noise_sigma=8.0,
        relations=RELATIONS,
    ),
    # The same with one or two objects of few kinds, at 32 px: objectives part within a minute of training. The world of
    # the ablations; LOG.md has what was tried.
    "contrast": _CONTRAST,
    # The same in pictures of every ratio from 1 : 3 to 3 : 1, for native resolution.
    "oblong": replace(_CONTRAST, radii=(0.11, 0.17), arrangement="free", ratios=(1 / 3, 3.0)),
    # Everything at once, up to six overlapping objects, two thirds of the captions noisy alt texts.
    "rich": WorldSettings(
        shapes=SHAPES,
        colours=tuple(COLOURS),
        sizes=SIZES,
        radii=(0.075, 0.11, 0.16),
        n_objects=(1, 6),
        held_out=diagonal(SHAPES, tuple(COLOURS)),
        min_visible=0.6,
        fills=FILLS,
        marks=MARKS,
        mark_rate=0.6,
        mark_contrast=0.7,
        rotation=3.1416,
        colour_jitter=0.03,
        ground_energy=0.6,
        clutter=3,
        noise_sigma=4.0,
        relations=RELATIONS,
        caption_noise=0.15,
        alt_share=2 / 3,
    ),
}


def world_settings(preset: str) -> WorldSettings:
    """The settings of a preset; KeyError with the nearest names when there is none."""
    if preset not in WORLDS:
        raise unknown_name("world preset", preset, list(WORLDS))
    return WORLDS[preset]
