"""Checks of notebook 11: ablations and rivals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from aimv2_lab.evaluation.ablations.variants import VARIANTS
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number
from aimv2_lab.model.two_towers import Embeddings, contrastive_losses

Paired = Callable[[Sequence[float], Sequence[float], float], tuple[float, float]]

SCORES: dict[str, tuple[list[float], list[float], float]] = {
    "three seeds": ([0.71, 0.75, 0.69], [0.74, 0.77, 0.73], 4.303),
    "five seeds": ([0.80, 0.78, 0.81, 0.79, 0.80], [0.77, 0.78, 0.77, 0.78, 0.74], 2.776),
    "two seeds": ([0.5, 0.6], [0.7, 0.7], 12.706),
}


def check_11a(answer: Paired) -> CheckResult:
    """`answer(default, row, t)` must be the mean and the reach of the paired differences, row minus default."""
    cases = []
    for name, (default, row, t) in SCORES.items():
        interval = Interval.of([mine - theirs for mine, theirs in zip(row, default, strict=True)])
        assert interval.reach is not None
        cases.append(Case(name, (default, row, t), (interval.mean, interval.reach)))
    return check_function("11a a paired interval", answer, cases)


def check_11b(answer: Callable[[Tensor, Tensor, float], Tensor]) -> CheckResult:
    """`answer(images, texts, scale)` must equal CLIP's loss over a whole batch."""
    draws = torch.Generator().manual_seed(11)
    cases = []
    for name, pairs, scale in (("two pairs", 2, 1.0), ("five pairs", 5, 14.3), ("one pair", 1, 14.3)):
        images, texts = (functional.normalize(torch.randn(pairs, 4, generator=draws), dim=1) for _ in range(2))
        said = Embeddings(images, texts, torch.tensor(scale), torch.tensor(0.0))
        expected = contrastive_losses(said, images, texts, 0, "softmax").total
        cases.append(Case(name, (images, texts, scale), expected))
    return check_function("11b CLIP's loss", answer, cases)


def check_11c(answer: float | None) -> CheckResult:
    """Steps of masked image modelling that cost what AIMv2's 1,600 do."""
    steps = VARIANTS["masked-image-flops"].recipe.training.steps
    hints: dict[float, str] = {
        1600.0: "that is as many pairs; the question asks for as many FLOPs",
        1600**2 / steps: "upside down: masked images are cheaper, so more steps fit",
    }
    return check_number("11c steps at equal FLOPs", answer, steps - 2, steps + 2, hints)


def check_11d(answer: str | None) -> CheckResult:
    """Which claim a small table supports."""
    feedback = {
        "A": "That interval holds zero: the row may lie on either side. Nothing was shown, not even equality.",
        "B": "The intervals of the two rows overlap, because seeds differ by much. In pairs the difference is clear: "
        "the interval of the differences leaves zero out.",
        "C": "To fail to tell apart is not to show equal: any difference from −2 to +4 points fits as well.",
        "D": "The best of five is luck on top of the mean, and its neighbours' mean has none.",
    }
    return check_choice("11d which claim", answer, "B", feedback)
