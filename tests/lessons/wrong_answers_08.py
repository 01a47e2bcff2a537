"""Plausible wrong answers to the exercises of notebook 08."""

from __future__ import annotations

import math
from typing import Any

from aimv2_lab.recipes import TrainingRecipe
from aimv2_lab.training.optimizers.building import learning_rate


def cosine_to_zero(step: int, training: TrainingRecipe) -> float:
    if step < training.warmup_steps:
        return learning_rate(step, training)
    share = (step - training.warmup_steps) / (training.steps - 1 - training.warmup_steps)
    return 0.5 * training.peak_lr * (1 + math.cos(math.pi * share))


def cosine_over_all_steps(step: int, training: TrainingRecipe) -> float:
    """The cosine begins with the run, not with the peak."""
    if step < training.warmup_steps:
        return learning_rate(step, training)
    share = step / (training.steps - 1)
    return training.min_lr + 0.5 * (training.peak_lr - training.min_lr) * (1 + math.cos(math.pi * share))


def ends_a_step_late(step: int, training: TrainingRecipe) -> float:
    if step < training.warmup_steps:
        return learning_rate(step, training)
    share = (step - training.warmup_steps) / (training.steps - training.warmup_steps)
    return training.min_lr + 0.5 * (training.peak_lr - training.min_lr) * (1 + math.cos(math.pi * share))


def warm_up_from_zero(step: int, training: TrainingRecipe) -> float:
    if step < training.warmup_steps:
        return training.peak_lr * step / training.warmup_steps
    return learning_rate(step, training)


def straight_down(step: int, training: TrainingRecipe) -> float:
    if step < training.warmup_steps:
        return learning_rate(step, training)
    share = (step - training.warmup_steps) / (training.steps - 1 - training.warmup_steps)
    return training.peak_lr + share * (training.min_lr - training.peak_lr)


WRONG: dict[str, dict[str, Any]] = {
    "08a": {
        "down to zero": cosine_to_zero,
        "cosine over all steps": cosine_over_all_steps,
        "ends a step late": ends_a_step_late,
        "warm-up from zero": warm_up_from_zero,
        "straight down": straight_down,
        "counts from 1": lambda step, training: learning_rate(step + 1, training),
    },
    "08b": {
        "parameters alone": 1.2368,
        "no gradients": 309_197_824 * 12 / 1e9,
        "GiB": 309_197_824 * 16 / 2**30,
        "bytes": 309_197_824 * 16,
    },
    "08c": {"raw targets": "A", "mismatched captions": "C", "a leak": "D"},
    "08d": {"with warm-up": 2.563, "the pixel loss": 0.758, "the end of a whole run": 0.83},
}
