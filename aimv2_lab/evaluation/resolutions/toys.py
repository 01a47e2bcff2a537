"""What is trained to compare resolutions: bases at a low one, and stages that go on from them, all for as many steps
and, but for what native areas draw, on as many pairs.

As in the paper (section 2.4) the high and the native resolution are stages behind a pre-training at the low one. What
is to be compared goes on from one base: the low, the high and the native resolution from one with sine-cosine
positions, which alone can be native; ways to adapt from one with a position table, which is resized. Encoders of one
size see their pictures squashed into a square. All sizes, rates and numbers are our choice, and were fixed before the
reported seeds were run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aimv2_lab.evaluation.ablations.toys import AIMV2, TRAINED_SCENES
from aimv2_lab.recipes import Recipe

WORLD = "world:oblong"
LOW, HIGH = 32, 64  # pixels: the side of a square, and of that square whose area a picture of any ratio has
AREAS = (4.0, 6.0)  # exponents of two: 16 patches, as the low resolution has, to 64
SEEDS = 3

BASE = AIMV2.change(
    {
        "name": "toy-low",
        "encoder.image_size": LOW,
        "encoder.positions": "learned",
        "data.source": f"{WORLD}:{TRAINED_SCENES}",
        "data.crop_ratio": (1 / 3, 3.0),  # every picture of this world whole, into whatever square
    }
)
SINCOS = {"encoder.positions": "sincos"}
NATIVE = SINCOS | {
    "resolution.batching": "padded",
    "resolution.area_exponents": AREAS,
    "training.batch_size": 8,  # of 64 patches: with areas from 16 on, 17 pairs a step in the mean
    "training.micro_batch_size": 8,
    "data.crop_ratio": (1.0, 1.0),  # every picture's own
}


@dataclass(frozen=True)
class Trained:
    """One thing that is trained: from first weights, or on from the model of another by `adaptation_recipe`, which
    `weight_decay` replaces the 0 of."""

    recipe: Recipe
    start: str = ""
    weight_decay: float = 0.0


def _stage(start: str, image_size: int, changes: Mapping[str, Any] | None = None, weight_decay: float = 0.0) -> Trained:
    """A stage as long as the base, of 16 pairs a step."""
    stage = {"name": f"toy-{image_size}", "encoder.image_size": image_size, "training.warmup_steps": 40}
    return Trained(BASE.change(stage | dict(changes or {})), start, weight_decay)


TRAINED: Mapping[str, Trained] = {
    "low": Trained(BASE),
    "low-continued": _stage("low", LOW),
    "high": _stage("low", HIGH),
    "high-decay": _stage("low", HIGH, weight_decay=1e-4),  # pre-training's own
    "high-strong-decay": _stage("low", HIGH, weight_decay=1e-3),
    "low-sincos": Trained(replace(BASE.change(SINCOS), name="toy-low-sincos")),
    "low-sincos-continued": _stage("low-sincos", LOW, SINCOS),
    "high-sincos": _stage("low-sincos", HIGH, SINCOS),
    "native": _stage("low-sincos", HIGH, NATIVE),
    "native-seen-padding": _stage("low-sincos", HIGH, NATIVE | {"resolution.padding": "seen"}),
}

# In which views of the test pictures each is probed.
PROBED: Mapping[str, tuple[str, ...]] = {
    "low": (),
    "low-continued": ("low", "high"),
    "high": ("low", "high"),
    "high-decay": ("high",),
    "high-strong-decay": ("high",),
    "low-sincos": (),
    "low-sincos-continued": ("low", "high", "native"),
    "high-sincos": ("low", "high", "native", "cropped"),
    "native": ("low", "high", "native"),
    "native-seen-padding": ("native",),
}
