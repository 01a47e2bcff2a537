"""A generated world of shapes: scenes as data, their pictures, and a source of picture-caption pairs."""

from __future__ import annotations

from aimv2_lab.data.world.making import make_scene
from aimv2_lab.data.world.render import boxes, masks, render
from aimv2_lab.data.world.scene import SPLITS, Ground, Scene, SceneObject
from aimv2_lab.data.world.settings import WORLDS, WorldSettings, world_settings

__all__ = [
    "SPLITS",
    "WORLDS",
    "Ground",
    "Scene",
    "SceneObject",
    "WorldSettings",
    "boxes",
    "make_scene",
    "masks",
    "render",
    "world_settings",
]
