"""Checks of notebook 02: patches and the pixel target."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number
from aimv2_lab.model.patches import patchify


def check_02a(answer: Callable[[Tensor, tuple[int, int], int], Tensor]) -> CheckResult:
    """`answer(patches, grid, patch_size)` must undo `patchify`."""
    cases = []
    for rows, columns, patch_size in ((1, 1, 2), (2, 3, 2), (3, 1, 4)):
        count = 2 * 3 * rows * columns * patch_size**2
        pictures = torch.arange(float(count)).reshape(2, 3, rows * patch_size, columns * patch_size)
        name = f"{rows} x {columns} patches of {patch_size} x {patch_size}"
        cases.append(Case(name, (patchify(pictures, patch_size), (rows, columns), patch_size), pictures))
    return check_function("02a unpatchify", answer, cases)


def check_02b(answer: float | None) -> CheckResult:
    """Pixel loss of zero predictions for patches of 14 x 14 pixels."""
    hints: dict[float, str] = {
        588 / 587: "upside down: the squares sum to K - 1, and K of them are averaged",
        1.0: "that is what a biased variance would give",
        191 / 192: "that is the 8 x 8 patch of the recipe `tiny`",
        195 / 196: "did you count the three channels?",
        0.0: "zeros are right only for patches of exactly the mean colour",
    }
    return check_number("02b zero predictions at full scale", answer, 0.9982, 0.9984, hints)


def check_02c(answer: str | None) -> CheckResult:
    """Why a copy of the patch before can cost more than zeros."""
    feedback = {
        "A": "Both patches are standardised: their contrasts are equal by construction.",
        "B": "Measured: on `separating` these outputs cost 1.16, the others 1.25. The copy loses inside the rows too.",
        "C": "The copy costs 2 (1 - r) (K - 1) / K, so it needs a correlation r above 1/2; here it is 0.38.",
        "D": "Copied noise is paid for twice, but section 3 puts noise at 12%; that cannot explain 1.23.",
    }
    return check_choice("02c why a copy can cost more than nothing", answer, "C", feedback)


def check_02d(answer: float | None) -> CheckResult:
    """Share of the standardised target that one colour per patch of 16 x 16 pixels saves."""
    hints: dict[float, str] = {
        0.446: "that is for patches of 8 x 8",
        0.73: "that is the share of the plain pixels; standardise them first",
        0.66: "that is what the painter leaves; what he saves is asked for",
    }
    return check_number("02d one colour per large patch", answer, 0.325, 0.355, hints)
