"""Checks of notebook 03: prefix attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number
from aimv2_lab.lessons.mask_mistakes import transposed
from aimv2_lab.model.masks import prefix_mask

mystery_mask = transposed  # of exercise c


def check_03a(answer: Callable[[Tensor, int], Tensor]) -> CheckResult:
    """`answer(prefix_lengths, patches)` must equal `prefix_mask`."""
    drawn = {"one image, M = 3": ([3], 5), "M = 1, causal": ([1], 4), "three images": ([2, 6, 1], 7)}
    cases = [
        Case(name, (torch.tensor(lengths), patches), prefix_mask(torch.tensor(lengths), patches))
        for name, (lengths, patches) in drawn.items()
    ]
    return check_function("03a prefix mask", answer, cases)


def check_03b(answer: float | None) -> CheckResult:
    """Share of all counted predictions that a mask with `j <= M` leaks, for 256 patches."""
    hints: dict[float, str] = {
        1 / 256: "one prediction of each picture leaks, but a picture has fewer than 256 that count",
        0.024: "that averages each picture's own share; the loss pools the predictions of all pictures",
        0.78: "a share is asked for, not percent",
        0.5: "only one prediction of each picture leaks",
        1.0: "only one prediction of each picture leaks",
    }
    return check_number("03b share that leaks", answer, 0.0077, 0.0079, hints)


def check_03c(answer: str | None) -> CheckResult:
    """Which slip drew the leak matrix shown."""
    feedback = {
        "A": "With j <= M one column too many would be open, and only above the diagonal of the prefix.",
        "B": "Queries outside the prefix see themselves and what comes later: the triangle stands on its head.",
        "C": "Everything would be open, the lower left too; here queries outside the prefix cannot see the prefix.",
        "D": "That hides more than it should. The meter would find no forbidden pair.",
    }
    return check_choice("03c the mystery mask", answer, "B", feedback)


def check_03d(answer: float | None) -> CheckResult:
    """Pixel loss of the off-by-one mask on noise when the only counted prediction leaks."""
    hints: dict[float, str] = {
        0.917: "that is the floor; were `off_by_one` and `prefix_length=15` both passed?",
        0.918: "that is the floor; were `off_by_one` and `prefix_length=15` both passed?",
    }
    return check_number("03d the quiet leak made loud", answer, 0.02, 0.6, hints)
