"""Checks of notebook 10: probing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number
from aimv2_lab.model.pooling import AttentivePooling

Pooling = Callable[[Tensor, Tensor, Tensor, Tensor, int], Tensor]


@torch.no_grad()
def check_10a(answer: Pooling) -> CheckResult:
    """`answer(features, query, keys, values, heads)` must equal `AttentivePooling` with these weights."""
    draws = torch.Generator().manual_seed(10)
    cases = []
    for name, width, heads, patches in (("one head", 4, 1, 3), ("two heads", 8, 2, 5), ("as many heads", 6, 6, 4)):
        features = torch.randn(2, patches, width, generator=draws)
        query, keys, values = (torch.randn(*shape, generator=draws) for shape in ((width,), *[(width, width)] * 2))
        theirs = AttentivePooling(width, heads)
        theirs.query.copy_(query)
        theirs.keys_values.weight.copy_(torch.cat([keys, values]))
        cases.append(Case(name, (features, query, keys, values, heads), theirs(features)))
    return check_function("10a attention pooling", answer, cases)


def check_10b(answer: float | None) -> CheckResult:
    """Best accuracy of one who knows both shapes of a scene, and not which object is the large one."""
    hints: dict[float, str] = {
        0.2: "that is for one who knows nothing; this reader has seen both shapes",
        0.25: "that is for one who knows the small object's shape; this reader knows both, in no order",
        0.4: "two of five; how many shapes are left to choose from, once both are known?",
        1.0: "the mean does not say which of the two is large",
    }
    return check_number("10b a perfect reader of the mean", answer, 0.5, 0.5, hints)


def check_10c(answer: str | None) -> CheckResult:
    """Why a probe of an untrained encoder falls below chance on new pairs."""
    feedback = {
        "A": "This encoder has never seen any pair, familiar or new. For it all pairs are alike.",
        "B": "In all its training pictures the colour rules a shape out, so the probe has learned to say everything "
        "but the true one. That is a fact about its labels, whatever the encoder.",
        "C": "Few pictures make a score uncertain in both directions; here are 2,048, and three seeds agree.",
        "D": "The batch norm's means and deviations are of features, and single shapes and colours are as frequent as "
        "before.",
    }
    return check_choice("10c below chance", answer, "B", feedback)


def check_10d(answer: float | None) -> CheckResult:
    """The linear probe of all patches side by side, on the large object's shape."""
    hints: dict[float, str] = {
        0.2: "that is chance; do the features and the labels belong to the same scenes?",
        0.631: "that is the linear probe of the mean; give it features.flatten(1)",
        0.931: 'that is the attentive probe; the kind is "linear"',
    }
    return check_number("10d all patches, no query", answer, 0.71, 0.79, hints)
