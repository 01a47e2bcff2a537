"""Drawing a scene: kinds of objects first, then their places, then the ground."""

from __future__ import annotations

import numpy as np

from aimv2_lab.data.world.layout import place
from aimv2_lab.data.world.scene import RGB, Ground, Scene, SceneObject, generator
from aimv2_lab.data.world.settings import COLOURS, WorldSettings


def make_scene(settings: WorldSettings, seed: int, split: str, index: int) -> Scene:
    """The scene number `index` of a split: equal arguments give an equal scene.

    Train and validation never hold a (shape, colour) pair of `settings.held_out`; "heldout" holds nothing else.
    """
    draw = generator(seed, split, index)
    count = int(draw.integers(settings.n_objects[0], settings.n_objects[1] + 1))
    kinds = _draw_kinds(settings, draw, count, held_out=split == "heldout")
    drawn = [_draw_object(settings, draw, *kind) for kind in kinds]
    width, height = _draw_sides(settings, draw)
    objects = place(settings, draw, drawn, width, height)
    ground = _draw_ground(settings, draw, objects)
    return Scene(seed, split, index, ground, objects, settings.mark_contrast, settings.noise_sigma, width, height)


def _draw_kinds(
    settings: WorldSettings, draw: np.random.Generator, count: int, held_out: bool
) -> list[tuple[str, str, str]]:
    """(shape, colour, size) of each object: uniform over the allowed combinations that keep objects tellable apart."""
    held = set(settings.held_out)
    pairs = [(s, c) for s in settings.shapes for c in settings.colours if ((s, c) in held) == held_out]
    while True:
        chosen = [pairs[i] for i in draw.integers(len(pairs), size=count)]
        sizes = [settings.sizes[i] for i in draw.integers(len(settings.sizes), size=count)]
        different = {"shape": [s for s, _ in chosen], "colour": [c for _, c in chosen], "size": sizes}
        if len(set(chosen)) == count and all(len(set(different[name])) == count for name in settings.distinct):
            return [(shape, colour, size) for (shape, colour), size in zip(chosen, sizes, strict=True)]


def _draw_sides(settings: WorldSettings, draw: np.random.Generator) -> tuple[float, float]:
    """Width and height of a picture of area 1, its ratio log-uniform; nothing is drawn where all are squares."""
    least, greatest = np.log(settings.ratios)
    if least == greatest:
        return float(np.exp(least / 2)), float(np.exp(-least / 2))
    half = draw.uniform(least, greatest) / 2
    return float(np.exp(half)), float(np.exp(-half))


def _draw_object(settings: WorldSettings, draw: np.random.Generator, shape: str, colour: str, size: str) -> SceneObject:
    """An object of the given kind, not yet placed. The smallest size is always solid and unmarked: at 48 pixels a mark
    on it would be finer than a pixel."""
    turn, spread, fill_draw, mark_draw, *jitter = draw.random(7)
    fill = settings.fills[int(fill_draw * len(settings.fills))] if size != settings.sizes[0] else "solid"
    mark = "none"
    if fill == "solid" and size != settings.sizes[0] and mark_draw < settings.mark_rate:
        mark = settings.marks[int(mark_draw / settings.mark_rate * len(settings.marks))]
    radius = settings.radii[settings.sizes.index(size)] * (0.96 + 0.08 * spread)
    red, green, blue = (
        min(max(level / 255 + settings.colour_jitter * (2 * u - 1), 0.0), 1.0)
        for level, u in zip(COLOURS[colour], jitter, strict=True)
    )
    rotation = settings.rotation * (2 * turn - 1)
    return SceneObject(shape, colour, size, fill, mark, 0.5, 0.5, radius, rotation, (red, green, blue))


def _draw_ground(settings: WorldSettings, draw: np.random.Generator, objects: tuple[SceneObject, ...]) -> Ground:
    """A ground that no object's colour drowns in: redrawn until it differs enough from all of them."""
    energy = settings.ground_energy
    gradient, gradient_angle, texture, waves, texture_angle, phase = draw.random(6)
    for _ in range(100):
        rgb = _ground_colour(energy, *draw.random(3))
        if all(sum((a - b) ** 2 for a, b in zip(rgb, o.rgb, strict=True)) > 0.4**2 for o in objects):
            break
    return Ground(
        rgb=rgb,
        gradient=0.3 * energy * gradient,
        gradient_angle=2 * np.pi * gradient_angle,
        texture=0.12 * energy * texture if energy > 0.5 else 0.0,
        texture_waves=4 + 6 * waves,
        texture_angle=np.pi * texture_angle,
        texture_phase=phase,
        blots=tuple((x, y, 0.008 + 0.014 * r, 0.25 * (2 * s - 1)) for x, y, r, s in draw.random((settings.clutter, 4))),
    )


def _ground_colour(energy: float, hue: float, value: float, saturation: float) -> RGB:
    """A grey from light (energy 0) over the whole range (energy 1), tinted by up to `energy`."""
    level = 0.95 - (0.15 + 0.65 * energy) * value
    strength = 0.6 * energy * saturation
    red, green, blue = (level * (1 - strength * (0.5 + 0.5 * np.cos(2 * np.pi * (hue + k / 3)))) for k in range(3))
    return float(red), float(green), float(blue)
