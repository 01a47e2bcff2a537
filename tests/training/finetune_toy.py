"""A checkpoint small enough for exact tests of fine-tuning, and recipes that start from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from aimv2_lab.formats.folder import save_model
from aimv2_lab.formats.load import recipe_of
from aimv2_lab.recipes import AnyRecipe, FinetuneRecipe
from aimv2_lab.recipes.continuations import finetune_recipe
from aimv2_lab.training.loop import build_model
from tests.training.toy import SMALL


def checkpoint(folder: Path, recipe: AnyRecipe = SMALL) -> Path:
    """An encoder of random weights, with norms that are not all one."""
    model = build_model(recipe)
    draws = torch.Generator().manual_seed(1)
    for parameter in model.encoder.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=draws)
    folder.mkdir(parents=True)
    save_model(folder, model)
    return folder


# Six steps of eight scenes on 24 pixels, saved after three.
TUNING: Mapping[str, Any] = {
    "training.steps": 6,
    "training.micro_batch_size": 2,
    "training.warmup_steps": 2,
    "training.peak_lr": 1e-2,
    "training.log_every": 1,
    "training.validate_every": 3,
    "training.validation_batches": 2,
    "training.checkpoint_every": 3,
    "data.source": "world:easy:64",
}


def tuning(start: Path, method: Literal["full", "lora", "frozen"], **changes: Any) -> FinetuneRecipe:
    """The recipe that tunes a checkpoint in six steps."""
    return finetune_recipe(str(start), recipe_of(start), method).change({**TUNING, **changes})
