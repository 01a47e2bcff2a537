"""Checks of notebook 07: the objective."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number
from aimv2_lab.model.objective import LossCounts, counted_outputs

Share = Callable[[Tensor, Tensor, Tensor, Tensor, LossCounts, float], Tensor]


def _share(
    errors: Tensor, nats: Tensor, counted: Tensor, prefix_lengths: Tensor, counts: LossCounts, weight: float
) -> Tensor:
    pixel = (errors * counted_outputs(prefix_lengths, errors.shape[1] + 1)).sum() / max(counts.patches, 1)
    return (nats * counted).sum() / max(counts.tokens, 1) + weight * pixel


def check_07a(answer: Share) -> CheckResult:
    """`answer(errors, nats, counted_tokens, prefix_lengths, counts, pixel_weight)` must be the batch's share."""
    draws = torch.Generator().manual_seed(7)
    errors, nats = torch.rand(4, 8, generator=draws), 3 * torch.rand(4, 6, generator=draws)
    counted = torch.arange(6) < torch.tensor([6, 2, 3, 5])[:, None]
    lengths, whole = torch.tensor([1, 8, 3, 6]), LossCounts(18, 16)
    given = {
        "the whole batch": (errors, nats, counted, lengths, whole, 0.4),
        "its first half, with the counts of the whole": (errors[:2], nats[:2], counted[:2], lengths[:2], whole, 0.4),
        "another weight": (errors, nats, counted, lengths, whole, 2.0),
        "prefixes that leave no patch": (errors, nats, counted, torch.full((4,), 9), LossCounts(0, 16), 0.4),
        "no captions": (errors, nats[:, :0], counted[:, :0], lengths, LossCounts(18, 0), 0.4),
    }
    cases = [Case(name, arguments, _share(*arguments)) for name, arguments in given.items()]
    return check_function("07a the loss of a share", answer, cases)


def check_07b(answer: float | None) -> CheckResult:
    """Pixel loss of a fresh model, K = 432: a blank guess's cost, and on top of it the variance of the outputs."""
    hints: dict[float, str] = {
        431 / 432: "that is what zeros cost; a fresh head does not say zero",
        1.0: "that is about what zeros cost; a fresh head does not say zero",
        431 / 432 - 1 / 13: "outputs that know nothing of the target cannot lower the error",
        431 / 432 + 1 / 13**0.5: "that adds the outputs' deviation; squared errors add variances",
        2.0: "outputs of variance 1 would cost that; how large are these?",
        1 / 13: "that is the outputs' variance; the target's comes on top",
    }
    return check_number("07b the first pixel loss", answer, 1.06, 1.1, hints)


def check_07c(answer: str | None) -> CheckResult:
    """Why the mystery run's caption loss is a quarter lower."""
    feedback = {
        "A": "The end token is easy. Without it the mean would rise, and the captions would not end.",
        "B": "Padding after an end token is certain, so it costs next to nothing and thins the mean: 76% of the "
        "rectangle are real tokens, and the honest loss times 0.76 is about this one.",
        "C": "A token that sees itself is known at once. The loss would go to 0, and the captions would be nonsense.",
        "D": "The curve is the caption loss alone; the weight of the pixel loss is not in it.",
    }
    return check_choice("07c the mystery run", answer, "B", feedback)


def check_07d(answer: float | None) -> CheckResult:
    """The pixel weight at which both losses pull equally on the encoder of the trained model."""
    hints: dict[float, str] = {
        0.714: "upside down: the pixel gradient is the smaller one, so it needs a weight above 1",
        4.867: "that is for an untrained model",
        2.807: "that is the ratio of the losses; compare their gradients",
        0.56: "encoder_pulls does not weigh; do not multiply by 0.4",
        3.5: "encoder_pulls does not weigh; do not divide by 0.4",
    }
    return check_number("07d the weight of an equal pull", answer, 1.3, 1.5, hints)
