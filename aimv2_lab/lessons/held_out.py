"""Held-out scenes for looking into a trained model, and pictures that it was never meant for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from aimv2_lab.data.preprocessing import evaluation_view
from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.data.transforms import denormalise
from aimv2_lab.data.world import Scene, make_scene, render, world_settings
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.world import captions, world_pictures
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import DataRecipe, Recipe


class HeldOut(NamedTuple):
    """Scenes that no training step has shown, with one true caption each.

    `images` and `pictures` (N, 3, size, size) are the same views: normalised as the encoder gets them, and in 0 … 1 for
    the eye.
    """

    images: Tensor
    pictures: Tensor
    scenes: list[Scene]
    captions: list[str]


def held_out(recipe: Recipe, count: int, split: str = "validation", view: int = 0) -> HeldOut:
    """The first `count` scenes of a split of the recipe's world; "heldout" holds the unseen combinations alone.

    `view` says which of a scene's captions.
    """
    size, indices = recipe.encoder.image_size, range(count)
    source = open_world(recipe.data.source, split, size)
    images = world_pictures(source, indices, recipe.data, size)
    scenes, texts = [source.scene(i) for i in indices], [source[i].captions[view] for i in indices]
    return HeldOut(images, denormalise(images, recipe.data), scenes, texts)


def drawn_at(scenes: Sequence[Scene], size: int, data: DataRecipe) -> Tensor:
    """The scenes' normalised pictures (N, 3, size, size), rendered at another size."""
    return torch.stack([evaluation_view(Image.fromarray(render(scene, size)), data, size) for scene in scenes])


class Odd(NamedTuple):
    """A picture unlike any of training: what it is, the picture (1, 3, height, width), what the model says."""

    name: str
    image: Tensor
    caption: str


def odd_pictures(model: AIMv2, tokenizer: CaptionTokenizer) -> list[Odd]:
    """An empty ground, sensor noise alone, one object, three objects, and a scene at twice the size."""
    data, size = model.recipe.data, model.recipe.encoder.image_size
    world = world_settings(data.source.removeprefix("world:"))
    alone = replace(world, n_objects=(1, 1), distinct=(), arrangement="free")
    three = replace(alone, n_objects=(3, 3), distinct=("shape", "colour"), sizes=("small",), radii=world.radii[:1])
    one_scene, three_scene, usual = (make_scene(knobs, 0, "validation", 0) for knobs in (alone, three, world))
    static = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(0)).mul(255).byte().numpy()
    images = {
        "an empty ground": drawn_at([replace(usual, objects=())], size, data),
        "noise": evaluation_view(Image.fromarray(static), data, size)[None],
        "one object": drawn_at([one_scene], size, data),
        "three objects": drawn_at([three_scene], size, data),
        "scene 0, twice the size": drawn_at([usual], 2 * size, data),
    }
    return [Odd(name, image, captions(model, image, tokenizer)[0]) for name, image in images.items()]
