"""Check of notebook 00: start here."""

from __future__ import annotations

from collections.abc import Callable

from aimv2_lab.lessons.checks.core import Case, CheckResult, check_function
from aimv2_lab.recipes import recipe


def check_00a(answer: Callable[[int, int], int]) -> CheckResult:
    """`answer(image_size, patch_size)` must be the number of patches the encoder reads."""
    cases = []
    for name in ("tiny", "small", "aimv2-large-224", "aimv2-3b-448"):
        encoder = recipe(name).encoder
        cases.append(Case(name, (encoder.image_size, encoder.patch_size), encoder.patches))
    return check_function("00a patches of a picture", answer, cases)
