"""Scenes of the generated world as samples to be written: an encoded picture, its texts, and what is known of them."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

from PIL import Image

from aimv2_lab.data.captions import Caption, alt_caption, synthetic_caption
from aimv2_lab.data.world.making import make_scene
from aimv2_lab.data.world.render import boxes, render
from aimv2_lab.data.world.scene import Scene, generator
from aimv2_lab.data.world.settings import world_settings
from aimv2_lab.data.writers import Sample

QUALITY = 85  # of the JPEG files
_CAPTION_STREAM, _ALT_STREAM = 2, 3


def world_sample(preset: str, seed: int, split: str, index: int, size: int) -> Sample:
    """Draw, render, caption and encode one scene of `size` pixels a side.

    `caption` is the clean text; `about` holds the alt text, the objects, and what both texts state.
    """
    settings = world_settings(preset)
    scene = make_scene(settings, seed, split, index)
    caption = synthetic_caption(scene, settings, generator(seed, split, index, _CAPTION_STREAM))
    alt = alt_caption(scene, settings, generator(seed, split, index, _ALT_STREAM))
    about = {
        "alt": alt.text,
        "objects": _objects(scene),
        "caption_facts": _facts(caption),
        "alt_facts": _facts(alt),
    }
    return Sample(f"{index:08d}", _jpeg(scene, size), size, size, caption.text, about)


def _objects(scene: Scene) -> list[dict[str, Any]]:
    """The named attributes and the box of every object."""
    names = ("shape", "colour", "size", "fill", "mark")
    return [
        {name: getattr(thing, name) for name in names} | {"box": [round(float(side), 4) for side in box]}
        for thing, box in zip(scene.objects, boxes(scene), strict=True)
    ]


def _facts(caption: Caption) -> list[dict[str, Any]]:
    """The stated facts as JSON values."""
    return [asdict(fact) for fact in caption.facts]


def _jpeg(scene: Scene, size: int) -> bytes:
    """The picture as a JPEG file, colours at full resolution."""
    file = io.BytesIO()
    Image.fromarray(render(scene, size)).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()
