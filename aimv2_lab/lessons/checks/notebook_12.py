"""Checks of notebook 12: higher resolution and native resolution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aimv2_lab.data.native.pictures import strip_of
from aimv2_lab.evaluation.resolutions.costs import counted
from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number
from aimv2_lab.recipes import recipe

GRIDS = {"one row": (1, 3), "square": (2, 2), "wide": (2, 3), "high": (4, 2)}


def check_12a(answer: Callable[[Tensor, int], Tensor]) -> CheckResult:
    """`answer(strip, columns)` must be the picture (3, rows * p, columns * p) that `strip_of` made the strip from."""
    cases = []
    for name, (rows, columns) in GRIDS.items():
        picture = torch.arange(3 * rows * 2 * columns * 2, dtype=torch.float32).view(3, rows * 2, columns * 2)
        cases.append(Case(f"{name}, {rows} x {columns} patches", (strip_of(picture, 2), columns), picture))
    return check_function("12a unroll a strip", answer, cases)


def check_12b(answer: float | None) -> CheckResult:
    """Pictures in a step of the median area, 2 to the 9.5, of the released native encoder's recipe."""
    known = recipe("aimv2-large-native")
    tokens = known.training.batch_size * known.encoder.patches
    right = tokens // round(2**9.5)
    hints: dict[float, str] = {
        tokens // round((2**7 + 2**12) / 2): "the median of n lies in the middle of 7 … 12; A is 2 to the n",
        8192.0: "that is at the fixed size, 256 patches a picture",
        724.0: "that is A; how many of them fit into C?",
    }
    return check_number("12b pictures a step", answer, right - 1, right + 1, hints)


def check_12c(answer: float | None) -> CheckResult:
    """One picture of 4,096 patches against sixteen of 256, in FLOPs of the large encoder's blocks."""
    known = recipe("aimv2-large-native")
    large, small = (sum(counted(known, area)) for area in (4096, 256))
    right = large / (16 * small)
    hints: dict[float, str] = {
        1.0: "that is the linear part alone: as many patches, as many matrix products",
        16.0: "that is the quadratic part alone",
        large / small: "that is against one picture of 256, not sixteen",
        1 / right: "upside down",
    }
    return check_number("12c one large or sixteen small", answer, right - 0.01, right + 0.01, hints)


def check_12d(answer: str | None) -> CheckResult:
    """What is true of an encoder with sine-cosine positions on a grid that it was never trained on."""
    feedback = {
        "A": "That is a table that was resized. The code of column 3 is the same in every grid.",
        "B": "The code is a function of row and column. It has a vector for every one of them; the attention behind it "
        "has met those up to the longest side in training, and no others.",
        "C": "It runs, and its patches are numbered right: nothing is learned per grid. But no weight was ever fitted "
        "to columns that no training picture had.",
        "D": "Index 40 and index 4 differ in every frequency but those that happen to come round; the slowest of them "
        "turn once in tens of thousands of patches.",
    }
    return check_choice("12d a grid never seen", answer, "B", feedback)
