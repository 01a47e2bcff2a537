"""What one factor of a generated scene is worth: how far the picture moves when it alone is drawn again, and how often
captions name it.

Classes of factors: P loud in the picture and never named, T quiet and named, PT both, N neither named nor predictable.
R is what follows from the others: comparisons and the count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from aimv2_lab.data.captions import Fact, synthetic_caption
from aimv2_lab.data.world import Scene, SceneObject, WorldSettings, make_scene, render
from aimv2_lab.data.world.layout import place
from aimv2_lab.model.patches import patchify, standardise

FACTOR_CLASSES: dict[str, str] = {
    "ground colour": "P",
    "ground light": "P",
    "ground texture": "P",
    "rotation": "P",
    "place": "PT",
    "size": "PT",
    "colour": "PT",
    "shape, large objects": "PT",
    "shape, small objects": "T",
    "marks": "T",
    "sensor noise": "N",
    "clutter": "N",
}
DERIVED = "comparisons, count"

_GROUND_FIELDS: dict[str, tuple[str, ...]] = {
    "ground colour": ("rgb",),
    "ground light": ("gradient", "gradient_angle"),
    "ground texture": ("texture", "texture_waves", "texture_angle", "texture_phase"),
    "clutter": ("blots",),
}
_OBJECT_FIELDS: dict[str, tuple[str, ...]] = {
    "rotation": ("rotation",),
    "size": ("size", "radius"),
    "colour": ("colour", "rgb"),
    "shape, large objects": ("shape",),
    "shape, small objects": ("shape",),
    "marks": ("mark",),
}


def redrawn(
    scene: Scene, factor: str, settings: WorldSettings, donors: Sequence[Scene], draw: np.random.Generator
) -> Scene:
    """The scene with one factor drawn again for all its objects, or its ground, and everything else as it was.

    New values are those of other scenes, `donors`. Objects keep their places when their shape or size changes, so they
    may come to overlap. Raises KeyError for an unknown factor. Our own construction.
    """
    donor = donors[int(draw.integers(len(donors)))]
    if factor == "sensor noise":  # nothing but the noise depends on the index once the scene is made
        return replace(scene, index=donor.index)
    if factor == "place":
        return replace(scene, objects=place(settings, draw, list(scene.objects)))
    if factor in _GROUND_FIELDS:
        fields = {name: getattr(donor.ground, name) for name in _GROUND_FIELDS[factor]}
        return replace(scene, ground=replace(scene.ground, **fields))
    givers = [thing for other in donors for thing in other.objects]
    return replace(scene, objects=tuple(_borrowed(thing, factor, givers, draw) for thing in scene.objects))


def _borrowed(thing: SceneObject, factor: str, givers: Sequence[SceneObject], draw: np.random.Generator) -> SceneObject:
    """The object with one factor of another object; of its own size, because small objects carry no marks."""
    if factor.startswith("shape") and f" {thing.size} " not in factor:
        return thing
    alike = [giver for giver in givers if factor == "size" or giver.size == thing.size]
    giver = alike[int(draw.integers(len(alike)))]
    return replace(thing, **{name: getattr(giver, name) for name in _OBJECT_FIELDS[factor]})


def pixel_shares(
    settings: WorldSettings, scenes: int, size: int, patch_size: int, seed: int = 0
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean squared change of the picture when one factor is drawn again, as factor -> share of the sum over factors.

    Twice: in raw pixels, and in the pixel target (patches standardised by their own mean and deviation). The scenes
    are the first of the training split; the next hundred are the donors.
    """
    draw = np.random.Generator(np.random.Philox(seed))
    shown = [make_scene(settings, seed, "train", index) for index in range(scenes)]
    donors = [make_scene(settings, seed, "train", index) for index in range(scenes, scenes + 100)]
    before = _pictures(shown, size)
    raw, target = {}, {}
    for factor in FACTOR_CLASSES:
        after = _pictures([redrawn(scene, factor, settings, donors, draw) for scene in shown], size)
        raw[factor] = (after - before).square().mean().item()
        change = standardise(patchify(after, patch_size)).values - standardise(patchify(before, patch_size)).values
        target[factor] = change.square().mean().item()
    return _shares(raw), _shares(target)


def _pictures(scenes: Sequence[Scene], size: int) -> Tensor:
    """(N, 3, size, size) in 0 … 1."""
    return torch.stack([torch.from_numpy(render(scene, size)).permute(2, 0, 1) for scene in scenes]) / 255


def fact_shares(settings: WorldSettings, scenes: int, seed: int = 0) -> dict[str, float]:
    """Which factor the facts of clean captions name: factor -> share of all stated facts; `DERIVED` takes the rest."""
    draw = np.random.Generator(np.random.Philox(seed))
    counts: Counter[str] = Counter()
    for index in range(scenes):
        scene = make_scene(settings, seed, "train", index)
        counts.update(named_factor(fact, scene) for fact in synthetic_caption(scene, settings, draw).facts)
    return _shares({factor: counts[factor] for factor in (*FACTOR_CLASSES, DERIVED)})


def named_factor(fact: Fact, scene: Scene) -> str:
    """The factor that a fact about the scene's objects names; directions tell the place, coarsely."""
    if fact.value in ("left of", "above"):
        return "place"
    if fact.kind == "shape":
        return f"shape, {scene.objects[fact.subject].size} objects"
    return {"colour": "colour", "size": "size", "mark": "marks"}.get(fact.kind, DERIVED)


def _shares(amounts: dict[str, float] | dict[str, int]) -> dict[str, float]:
    total = sum(amounts.values())
    return {name: amount / total for name, amount in amounts.items()}
