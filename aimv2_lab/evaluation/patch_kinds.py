"""What a next-patch prediction is asked for: bare ground, the rest of an object, or one that has not begun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from aimv2_lab.data.preprocessing import evaluation_view
from aimv2_lab.data.world import Scene, masks, render
from aimv2_lab.data.world.settings import COLOURS
from aimv2_lab.evaluation.next_patch import next_patch_errors
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.recipes import DataRecipe

KINDS = ("ground", "an object goes on", "an object begins")
GROUND, GOES_ON, BEGINS = range(3)


def patch_kinds(scenes: Sequence[Scene], image_size: int, patch_size: int) -> Tensor:
    """The kind (N, I) of every patch in raster order, as a number into `KINDS`.

    An object begins in the first patch that shows a pixel of it; where one begins and another goes on, one begins.
    """
    found = []
    for scene in scenes:
        shown = torch.from_numpy(masks(scene, image_size, visible=True))[:, None].expand(-1, 3, -1, -1)
        touched = patchify(shown, patch_size).any(dim=-1)  # (objects, I)
        begins = (touched & (touched.cumsum(dim=1) == 1)).any(dim=0)
        found.append(torch.where(begins, BEGINS, torch.where(touched.any(dim=0), GOES_ON, GROUND)))
    return torch.stack(found)


def colours_at(scenes: Sequence[Scene], image_size: int, stride: int) -> Tensor:
    """What every `stride`-th pixel shows (N, rows, columns): 0 for ground, else a number for the object's colour."""
    found = torch.zeros(len(scenes), image_size // stride, image_size // stride, dtype=torch.long)
    for place, scene in enumerate(scenes):
        for thing, mask in zip(scene.objects, masks(scene, image_size), strict=True):
            found[place][torch.from_numpy(mask[::stride, ::stride])] = 1 + list(COLOURS).index(thing.colour)
    return found


def prediction_errors(model: AIMv2, images: Tensor, prefix_length: int) -> Tensor:
    """Squared error (B, I) of every predicted patch under one prefix length, NaN for the patches of the prefix.

    In the units of the pixel loss: a blank guess costs 1.
    """
    errors = torch.nn.functional.pad(next_patch_errors(model, images, prefix_length), (1, 0))
    errors[:, :prefix_length] = torch.nan
    return errors


def noise_floor(scenes: Sequence[Scene], images: Tensor, data: DataRecipe, patch_size: int) -> Tensor:
    """Squared error (B, I) of one who knows every scene perfectly, and not the sensor's noise.

    `images` (B, 3, size, size) are the scenes' own normalised pictures. The noise-free picture is the prediction.
    """
    size = images.shape[-1]
    quiet = [Image.fromarray(render(replace(scene, noise_sigma=0.0), size)) for scene in scenes]
    known = torch.stack([evaluation_view(picture, data, size) for picture in quiet])
    true = standardise(patchify(images, patch_size))
    return ((patchify(known, patch_size) - true.mean) / true.deviation - true.values).square().mean(dim=-1)


def error_by_kind(errors: Tensor, kinds: Tensor) -> list[float]:
    """Mean error of each of the `KINDS` over what was predicted; NaN for a kind of which nothing was."""
    return [errors[(kinds == kind) & ~errors.isnan()].mean().item() for kind in range(len(KINDS))]
