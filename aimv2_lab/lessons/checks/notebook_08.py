"""Checks of notebook 08: pre-training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_choice, check_function, check_number
from aimv2_lab.recipes import TrainingRecipe, recipe
from aimv2_lab.training.optimizers.building import learning_rate

mystery_recipe = recipe("tiny", {"training.peak_lr": 1e-2})  # of section 1 and exercise c

SCHEDULE = recipe("tiny").training
CASES: dict[str, tuple[int, TrainingRecipe]] = {
    "step 0": (0, SCHEDULE),
    "half of the warm-up": (50, SCHEDULE),
    "the last step of the warm-up": (99, SCHEDULE),
    "the peak, step 100": (100, SCHEDULE),
    "a quarter of the cosine": (875, SCHEDULE),
    "the last step, 3199": (3199, SCHEDULE),
    "no warm-up, step 0": (0, replace(SCHEDULE, warmup_steps=0)),
    "the paper's run, step 700,000": (700_000, recipe("aimv2-large-224").training),
}


def check_08a(answer: Callable[[int, TrainingRecipe], float]) -> CheckResult:
    """`answer(step, training)` must equal `learning_rate`, relative to the peak rate."""
    cases = [
        Case(name, (step, training), learning_rate(step, training) / training.peak_lr)
        for name, (step, training) in CASES.items()
    ]
    return check_function("08a learning rate", _relative(answer), cases, tolerance=1e-6)


def _relative(answer: Callable[[int, TrainingRecipe], float] | None) -> Callable[[int, TrainingRecipe], float] | None:
    """The answer in units of the peak rate, so that small rates are compared as strictly as large ones."""
    if answer is None:
        return None

    def in_peaks(step: int, training: TrainingRecipe) -> float:
        return answer(step, training) / training.peak_lr

    return in_peaks


def check_08b(answer: float | None) -> CheckResult:
    """GB (10^9 bytes) of parameters, gradients and Adam's state of the large encoder, all in float32."""
    hints: dict[float, str] = {
        309_197_824 * 16 / 2**30: "those are GiB; the question asks for GB, 10^9 bytes",
        1.236791: "those are the parameters alone",
        2.473583: "that is two numbers per parameter: which two of the four were left out?",
        3.710374: "that is three numbers per parameter: Adam keeps two averages, and the gradients count too",
        4.947165e9: "those are bytes",
    }
    return check_number("08b memory before any picture", answer, 4.94, 4.96, hints)


def check_08c(answer: str | None) -> CheckResult:
    """What had been changed in the run of section 1."""
    feedback = {
        "A": "Raw pixels vary more: the first pixel loss would be 2.2, and it is the healthy 1.08.",
        "B": "The same first loss, then steps ten times as long: during warm-up both losses simply get ahead.",
        "C": "A caption that tells nothing of its picture would be harder to predict, not easier.",
        "D": "A leak of patches helps no caption; here both losses are ahead within five steps.",
    }
    return check_choice("08c what was changed", answer, "B", feedback)


def check_08d(answer: float | None) -> CheckResult:
    """Mean caption loss of steps 51 … 60 without warm-up."""
    hints: dict[float, str] = {
        2.563: "that is the run with its warm-up; was training.warmup_steps set to 0 when the engine was made?",
        0.758: "that is the pixel loss",
    }
    return check_number("08d without warm-up", answer, 1.15, 1.6, hints)
