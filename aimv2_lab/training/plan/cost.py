"""Time and money of a whole run, at a utilisation that is assumed or a rate that was measured."""

from __future__ import annotations

from typing import NamedTuple

from aimv2_lab.recipes import PretrainingRecipe
from aimv2_lab.training.plan.estimate import predict_seconds
from aimv2_lab.training.plan.flops import flops_utilisation, picture_flops
from aimv2_lab.training.plan.gpus import Gpu


class Cost(NamedTuple):
    """What a run takes; the rate is one GPU's."""

    images_per_second: float
    utilisation: float  # of the model's FLOPs: what is recomputed does not count
    step_seconds: float
    days: float
    gpu_hours: float
    money: float


def assumed_rate(recipe: PretrainingRecipe, gpu: Gpu, utilisation: float) -> float:
    """Images per second of one GPU whose tensor cores do useful or recomputed work at this share of their peak.

    Communication and the loader are part of what the utilisation stands for.
    """
    flops = picture_flops(recipe)
    done = flops.step + (flops.blocks if recipe.engine.activation_checkpointing else 0)
    return utilisation * gpu.peak / done


def run_cost(recipe: PretrainingRecipe, gpu: Gpu, gpus: int, images_per_second: float, price: float) -> Cost:
    """The whole run, validation included, at a rate of every GPU and a price of an hour of one."""
    step = recipe.training.batch_size / (images_per_second * gpus)
    hours = predict_seconds(recipe, step) / 3600
    utilisation = flops_utilisation(recipe, images_per_second, gpu.peak)
    return Cost(images_per_second, utilisation, step, hours / 24, hours * gpus, hours * gpus * price)
