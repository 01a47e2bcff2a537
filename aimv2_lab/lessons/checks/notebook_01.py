"""Checks of notebook 01: a world small enough to understand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aimv2_lab.data.world.shapes import square
from aimv2_lab.lessons.checks.compare import Difference, compare
from aimv2_lab.lessons.checks.core import CheckResult, Property, check_choice, check_number, check_properties

Array = NDArray[np.floating]

_POINTS = np.array([-1.2, -0.9, -0.8, -0.6, -0.3, 0.0, 0.3, 0.6, 0.8, 0.9, 1.2])
_HALF = 0.8


def check_01a(answer: Callable[[Array, Array], Array]) -> CheckResult:
    """`answer(x, y)` must be the signed distance of the package's square; beyond a corner it may round it or not."""
    properties = [
        Property("points that face an edge", _facing),
        Property("points beyond a corner", _beyond),
    ]
    return check_properties("01a square", answer, properties)


def _facing(answer: Callable[[Array, Array], Array]) -> Difference | None:
    """What differs where both conventions agree; the other points are set to 0 on both sides."""
    x, y = _POINTS[None, :], _POINTS[:, None]
    corners = (np.abs(x) > _HALF) & (np.abs(y) > _HALF)
    target = torch.from_numpy(np.where(corners, 0.0, square(x, y)))
    yours = _tensor(answer(x, y))
    if yours.shape == target.shape:
        yours = yours.masked_fill(torch.from_numpy(corners), 0.0)
    return compare(target, yours)


def _beyond(answer: Callable[[Array, Array], Array]) -> str | None:
    """Between the larger of the two distances and the distance to the corner."""
    x, y = np.array([[0.9, 1.0, 1.4]]), np.array([[0.9], [1.3]])
    least, most = square(x, y), np.hypot(x - _HALF, y - _HALF)
    yours = _tensor(answer(x, y)).numpy()
    if (yours < least - 1e-6).any() or (yours > most + 1e-6).any():
        return f"at x = 0.9, y = 0.9 yours is {yours[0, 0]:.3f}; {least[0, 0]:.3f} … {most[0, 0]:.3f} is right"
    return None


def _tensor(values: Any) -> Tensor:
    return values.double() if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values, dtype=np.float64))


def check_01b(answer: float | None) -> CheckResult:
    """Share of clean captions of `easy` that state the direction: half of 9 in 29 and half of 18 in 33."""
    hints: dict[float, str] = {
        0.5: "sets with the direction are drawn again more often than others",
        9 / 29: "that is right for 3 facts; half the captions state 4",
        18 / 33: "that is right for 4 facts; half the captions state 3",
    }
    return check_number("01b captions with a direction", answer, 0.395, 0.46, hints)


def check_01c(answer: str | None) -> CheckResult:
    """Why noise grows in the pixel target."""
    feedback = {
        "A": "Subtracting a mean and dividing by a deviation adds nothing that was not there.",
        "B": "The mean takes the ground's colour away, and what little varies is blown up to variance 1.",
        "C": "Noise is in every patch of the raw picture too, and there it is only 1 %.",
    }
    return check_choice("01c noise in the target", answer, "B", feedback)


def check_01d(answer: float | None) -> CheckResult:
    """Facts of noisy alt captions that the text alone shows to be false."""
    hints: dict[float, str] = {
        0.3: "that is the share in the record; score_caption does not know which object was meant",
        0.7: "that is the share in the record that is true",
    }
    return check_number("01d mistakes found", answer, 0.19, 0.28, hints)
