"""A whole model small enough for exact tests, with a table of positions, and recipes for larger pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aimv2_lab.formats.whole import pretrained_recipe
from aimv2_lab.recipes import Recipe
from aimv2_lab.recipes.continuations import adaptation_recipe
from tests.training.finetune_toy import TUNING
from tests.training.toy import SMALL

WHOLE = SMALL.change({"encoder.patch_size": 6, "encoder.positions": "learned", "decoder.vocabulary": 256})  # 24 px


def adapting(start: Path, **changes: Any) -> Recipe:
    """The recipe that adapts a checkpoint to pictures of 36 pixels in six steps."""
    larger = WHOLE.change({**TUNING, "encoder.image_size": 36, "training.weight_decay": 0.1})
    return adaptation_recipe(str(start), pretrained_recipe(start), larger).change(changes)
