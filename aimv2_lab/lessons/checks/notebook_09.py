"""Checks of notebook 09: look inside."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aimv2_lab.evaluation.contribution import contribution
from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number


def check_09a(answer: Callable[[Tensor, Tensor], Tensor]) -> CheckResult:
    """`answer(own, others)` must equal `contribution`."""
    drawn = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).mul(2).log_softmax(dim=-1)
    given = {
        "one token, three other pictures": (torch.tensor([0.5]).log(), torch.tensor([[0.1], [0.25], [0.01]]).log()),
        "four tokens": (drawn[0], drawn[1:]),
        "a token that all others rule out": (torch.tensor([-0.5]), torch.tensor([[-200.0], [-210.0]])),
    }
    cases = [Case(name, pair, contribution(*pair)) for name, pair in given.items()]
    return check_function("09a contribution in nats", answer, cases)


def check_09b(answer: float | None) -> CheckResult:
    """Nats that the picture adds to the first colour word, for a perfect model: log(1/2) - log(1/7)."""
    hints: dict[float, str] = {
        1.9459: "that is log 7, as if the picture settled the word; the caption may begin with either object",
        0.6931: "that is log 2, what remains open when the picture is known",
        1.7918: "another picture can show the same colour, so all seven count",
        1.8074: "that is in bits; use the natural logarithm",
        3.5: "that is the ratio of the probabilities; nats are its logarithm",
    }
    return check_number("09b a perfect model's colour word", answer, 1.245, 1.26, hints)


def check_09c(answer: str | None) -> CheckResult:
    """Why the mean of logarithms credits a colour word with more nats than naming one colour of seven can take."""
    feedback = {
        "A": "Whatever else the model knows, the word has seven values, and log 7 = 1.95 nats name one of them.",
        "B": "A picture without that colour gives it a probability near 0, whose logarithm has no bottom. The mean of "
        "logarithms measures how sure the model is that other pictures are wrong.",
        "C": "More pictures change the number little: the mean of logarithms stays near 4.7 for 8 or 16 of them.",
        "D": "Both ways have the same unit, and neither is divided by anything but the number of pictures.",
    }
    return check_choice("09c the mean of logarithms", answer, "B", feedback)


def check_09d(answer: float | None) -> CheckResult:
    """How often whitened neighbours share the large object's shape."""
    hints: dict[float, str] = {
        0.379: "that is without whitening; divide each coordinate by its deviation",
        1.0: "a picture is not its own neighbour; use `nearest`",
    }
    return check_number("09d neighbours after whitening", answer, 0.52, 0.59, hints)
