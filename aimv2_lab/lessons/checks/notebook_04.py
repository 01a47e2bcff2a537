"""Checks of notebook 04: the encoder, block by block."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number


def check_04a(answer: Callable[[Tensor, Tensor], Tensor]) -> CheckResult:
    """`answer(norm_weight, linear_weight)` must be the linear that needs no norm weight before it."""
    cases = []
    for outputs, inputs in ((3, 2), (4, 4)):
        norm_weight = torch.arange(1.0, inputs + 1)
        linear_weight = torch.arange(1.0, outputs * inputs + 1).reshape(outputs, inputs)
        folded = linear_weight @ norm_weight.diag()
        cases.append(Case(f"a {outputs} x {inputs} linear", (norm_weight, linear_weight), folded))
    return check_function("04a folded norm", answer, cases)


def check_04b(answer: int | None) -> CheckResult:
    """Parameters in one block of the large encoder."""
    hints: dict[float, str] = {
        12_845_056: "the two norms have weights too",
        9_963_520: "SwiGLU has three matrices: gate, up and down",
        11_798_528: "attention has four matrices: q, k, v and the one after the heads",
        12_857_856: "no linear of a block has a bias",
        12_849_152: "an RMSNorm has a weight, but no bias",
    }
    return check_number("04b parameters of one block", answer, 12_847_104, 12_847_104, hints)


def check_04c(answer: str | None) -> CheckResult:
    """Why narrow weights hide a wrong attention scale."""
    feedback = {
        "A": "The final norm divides both outputs by nearly the same number. It cannot hide a difference in direction.",
        "B": "Narrow queries and keys give scores near 0. Softmax is almost uniform, whatever they are divided by.",
        "C": "The scale sits inside the softmax. No later linear can undo it.",
    }
    return check_choice("04c a hidden scale", answer, "B", feedback)


def check_04d(answer: float | None) -> CheckResult:
    """Growth of the residual stream from 12 to 48 blocks, wide weights."""
    hints: dict[float, str] = {
        4.0: "that is the factor of the mean square; take its root",
        1.0: "compare the streams before the final norm",
    }
    return check_number("04d growth with depth", answer, 1.8, 2.2, hints)
