"""Held-out scenes for looking into a trained model, and pictures that it was never meant for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.data.transforms import evaluation_view
from aimv2_lab.data.world import Scene, make_scene, render, world_settings
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.world import captions, world_pictures
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import DataRecipe, Recipe


class HeldOut(NamedTuple):
    """Scenes that no training step has shown: normalised pictures (N, 3, size, size), scenes, one true caption each."""

    images: Tensor
    scenes: list[Scene]
    captions: list[str]


def held_out(recipe: Recipe, count: int, split: str = "validation") -> HeldOut:
    """The first `count` scenes of a split of the recipe's world; "heldout" holds the unseen combinations alone."""
    size, indices = recipe.encoder.image_size, range(count)
    source = open_world(recipe.data.source, split, size)
    images = world_pictures(source, indices, recipe.data, size)
    return HeldOut(images, [source.scene(i) for i in indices], [source[i].captions[0] for i in indices])


def words_of(tokenizer: CaptionTokenizer, tokens: Tensor) -> list[list[str]]:
    """The words of every row of tokens (B, T), up to the end token and with it, where one word is one token."""
    rows = []
    for row in tokens.tolist():
        stop = row.index(tokenizer.end_id) + 1 if tokenizer.end_id in row else len(row)
        rows.append([str(word) for word in tokenizer.tokenizer.convert_ids_to_tokens(row[:stop])])
    return rows


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
