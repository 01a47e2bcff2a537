"""Checks of notebook 05: predict the next patch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv1 import HeadBlock

HeadBlockFunction = Callable[[Tensor, nn.Module, nn.Module, nn.Module], Tensor]


def check_05a(answer: HeadBlockFunction) -> CheckResult:
    """`answer(x, first_norm, second_norm, mlp)` must equal the head's block."""
    cases = []
    for seed, shape in enumerate(((1, 1, 8), (2, 5, 8), (3, 4, 16))):
        block, draws = HeadBlock(shape[-1], 1e-5), torch.Generator().manual_seed(seed)
        draw_wide_weights(block, draws)
        block.requires_grad_(False)
        x = torch.randn(shape, generator=draws)
        parts = (block.pass_through_norm, block.feed_forward_norm, block.feed_forward)
        cases.append(Case(f"x of shape {shape}", (x, *parts), block(x)))
    return check_function("05a the head's block", answer, cases)


def check_05b(answer: float | None) -> CheckResult:
    """Share of aim-600m's trained parameters that is in the head."""
    hints: dict[float, str] = {
        0.598: "head over trunk; the share is head over head and trunk together",
        0.599: "head over trunk; the share is head over head and trunk together",
        37.4: "a share is asked for, not percent",
        0.158: "a block's MLP has two matrices of 2048 x 8192 each; is one left out?",
        0.049: "the MLP inside a head block is four times as wide as the block",
    }
    return check_number("05b what is thrown away", answer, 0.370, 0.379, hints)


def check_05c(answer: str | None) -> CheckResult:
    """Why the first patch of a row is harder than the last."""
    feedback = {
        "A": "Objects lie in the middle of these pictures, and the left edge is as empty as the right one.",
        "B": "Every patch has been seen when the next row begins; the head and the trunk know where they are.",
        "C": "Its predecessor in the order lies at the other end of the row above. What it continues is one patch up, "
        "and nothing to its left has been seen.",
        "D": "With M = 1 every output counts equally often, and all are measured here.",
    }
    return check_choice("05c the first patch of a row", answer, "C", feedback)


def check_05d(answer: float | None) -> CheckResult:
    """Error of copying over error of saying zero, for raw pixels of the world's held-out pictures."""
    hints: dict[float, str] = {
        1.126: "that is the ratio for standardised patches; pass target='raw'",
        1.127: "that is the ratio for standardised patches; pass target='raw'",
        1.09: "that is the error itself; divide it by the error of saying zero",
        2.716: "the other way round: copy over zero",
    }
    return check_number("05d copying raw pixels", answer, 0.3, 0.45, hints)
