"""What a picture of an area costs an encoder: processor time, and beside it a model of its counted FLOPs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from aimv2_lab.evaluation.ablations.toys import AIMV2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.plan.flops import picture_flops

# Square areas of 16 … 4,096 patches, half an octave apart; every pass has at most as many patches as the largest, so
# that what a call costs whatever its size is spread as it is in a native step. All sizes are our choice.
SIDES = (4, 6, 8, 11, 16, 23, 32, 45, 64)
SLOTS = 4096
ROUNDS = 5
MEASURED = AIMV2.change(
    {"name": "toy-cost", "encoder.width": 192, "encoder.depth": 4, "encoder.heads": 3, "encoder.hidden": 512}
)


class Counted(NamedTuple):
    """FLOPs of the blocks of one picture: what grows with the patches, and what with their square."""

    linear: int
    quadratic: int


class CostModel(NamedTuple):
    """Milliseconds a picture: each part's FLOPs by a rate of its own, in milliseconds a billion.

    Two constants and no more: matrices and attention run at different speeds, so that one constant would have to be
    wrong about one of the two; and what a call costs besides is shared by all pictures of a pass.
    """

    linear: float
    quadratic: float

    def milliseconds(self, recipe: Recipe, area: int) -> float:
        """What a picture of so many patches costs."""
        return float(np.dot(self, counted(recipe, area))) / 1e9

    def overtakes(self, recipe: Recipe) -> float:
        """The area in patches from which on the quadratic part costs more than the linear one."""
        one = counted(recipe, 1)
        return self.linear * one.linear / (self.quadratic * one.quadratic)


def counted(recipe: Recipe, area: int) -> Counted:
    """The blocks' FLOPs over a picture of so many patches; projection and norms are left out."""
    own, patches = picture_flops(recipe), recipe.encoder.patches
    return Counted(own.encoder // patches * area, own.encoder_attention // patches**2 * area**2)


def measured_costs(sides: Sequence[int] = SIDES, rounds: int = ROUNDS, slots: int = SLOTS) -> list[dict[str, Any]]:
    """By area, the milliseconds of processor time per picture of a forward pass: the median of rounds, in each of which
    every area has its turn, and all of them."""
    times: dict[int, list[float]] = {side: [] for side in sides}
    encoder = VisionEncoder(MEASURED).eval()
    for round_number in range(rounds + 1):  # the first warms up
        for side, milliseconds in _one_round(encoder, sides, slots):
            if round_number:
                times[side].append(milliseconds)
    return [
        {"area": side**2, "milliseconds": _short(median(found)), "rounds": [_short(one) for one in found]}
        for side, found in times.items()
    ]


def fitted(costs: Sequence[Mapping[str, Any]], recipe: Recipe = MEASURED) -> CostModel:
    """The model nearest to what was measured, by its relative errors, so that small areas count as large ones do."""
    parts = np.array([counted(recipe, one["area"]) for one in costs]) / 1e9
    taken = np.array([one["milliseconds"] for one in costs])
    rates, *_ = np.linalg.lstsq(parts / taken[:, None], np.ones(len(taken)), rcond=None)
    return CostModel(*rates.tolist())


@torch.no_grad()
def _one_round(encoder: VisionEncoder, sides: Sequence[int], slots: int) -> Iterator[tuple[int, float]]:
    size = encoder.recipe.patch_size
    for side in sides:
        pictures = max(slots // side**2, 1)
        images = torch.zeros(pictures, 3, side * size, side * size)
        started = time.process_time()
        encoder(images)
        yield side, 1e3 * (time.process_time() - started) / pictures


def _short(milliseconds: float) -> float:
    return float(f"{milliseconds:.4g}")
