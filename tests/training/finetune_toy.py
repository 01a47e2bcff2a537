"""A checkpoint small enough for exact tests of fine-tuning, and recipes that start from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch

from aimv2_lab.formats.folder import save_model
from aimv2_lab.recipes import AnyRecipe, FinetuneRecipe
from aimv2_lab.training.finetune import finetune_recipe
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


def tuning(start: Path, method: Literal["full", "lora", "frozen"], **changes: Any) -> FinetuneRecipe:
    """Six steps of eight scenes on 24 pixels, saved after three."""
    training = {
        "steps": 6,
        "micro_batch_size": 2,
        "warmup_steps": 2,
        "peak_lr": 1e-2,
        "log_every": 1,
        "validate_every": 3,
        "validation_batches": 2,
        "checkpoint_every": 3,
    }
    values = {f"training.{name}": value for name, value in training.items()} | {"data.source": "world:easy:64"}
    return finetune_recipe(str(start), method).change(values | changes)
