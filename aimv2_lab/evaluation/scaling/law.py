"""The law L(N, D) = E + A / N^a + B / D^b: fitted to losses, and asked where compute is spent best.

Source: Hoffmann et al. (arXiv 2203.15556), whose fit this is; AIMv2 draws such curves and gives no coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

# From where fits begin; the best is kept. Residuals of logarithms count in full up to DELTA, further ones linearly.
_STARTS = (0.0, 0.3, 0.6), (0.0, 0.3, 0.6), (0.5, 0.8, 0.95)  # a, b, and E as a share of the least loss
DELTA = 1e-2
_STEPS = 200


@dataclass(frozen=True)
class ScalingLaw:
    """The law's five numbers, for N and D counted in `unit_n` and `unit_d`; `error` is its mean error as a share of the
    loss."""

    floor: float
    a_scale: float
    a_power: float
    b_scale: float
    b_power: float
    unit_n: float
    unit_d: float
    error: float

    def loss(self, parameters: ArrayLike, samples: ArrayLike) -> NDArray[np.float64]:
        """L at N parameters and D samples, one or many."""
        n, d = np.asarray(parameters, np.float64) / self.unit_n, np.asarray(samples, np.float64) / self.unit_d
        return self.floor + self.a_scale * n**-self.a_power + self.b_scale * d**-self.b_power


def fit_law(parameters: Sequence[float], samples: Sequence[float], losses: Sequence[float]) -> ScalingLaw:
    """The law that is nearest to the logarithms of losses, by Huber's measure (Hoffmann et al., D.3).

    Raises ValueError for fewer than six points, two sizes or two numbers of samples, or a loss that is not positive.
    """
    n, d, wanted = (torch.tensor(values, dtype=torch.float64) for values in (parameters, samples, losses))
    if len(wanted) < 6 or n.unique().numel() < 2 or d.unique().numel() < 2:
        raise ValueError(
            f"{len(wanted)} losses of {n.unique().numel()} sizes and {d.unique().numel()} numbers of "
            "samples: five coefficients need six losses, of several sizes and several numbers"
        )
    if not (wanted > 0).all():
        raise ValueError(f"a loss of {wanted.min().item():g}: logarithms need positive ones")
    units = n.log().mean().exp().item(), d.log().mean().exp().item()
    n, d = n / units[0], d / units[1]
    found = [_fitted(torch.tensor(start, dtype=torch.float64), n, d, wanted) for start in _starts(wanted)]
    best = min(found, key=lambda one: one[0])[1]
    floor, a_scale, b_scale = best[:3].exp().tolist()
    error = (_law(best, n, d) / wanted - 1).abs().mean().item()
    return ScalingLaw(floor, a_scale, best[3].item(), b_scale, best[4].item(), *units, error)


def _starts(losses: Tensor) -> list[list[float]]:
    """(log E, log A, log B, a, b): what is left above the floor is halved between A and B."""
    least, mean = losses.min().item(), losses.mean().item()
    starts = []
    for a_power, b_power, share in product(*_STARTS):
        floor = share * least
        rest = torch.tensor([floor, (mean - floor) / 2, (mean - floor) / 2], dtype=torch.float64).log().tolist()
        starts.append([*rest, a_power, b_power])
    return starts


def _law(theta: Tensor, n: Tensor, d: Tensor) -> Tensor:
    floor, a_scale, b_scale = theta[:3].exp()
    return floor + a_scale * n ** -theta[3] + b_scale * d ** -theta[4]


def _fitted(start: Tensor, n: Tensor, d: Tensor, losses: Tensor) -> tuple[float, Tensor]:
    """The measure that is reached from a start, and where."""
    theta = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([theta], max_iter=_STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def closure() -> Tensor:
        optimizer.zero_grad()
        measure = functional.huber_loss(_law(theta, n, d).log(), losses.log(), delta=DELTA)
        measure.backward()
        return measure

    optimizer.step(closure)
    reached = closure().item()
    return (reached if reached == reached else float("inf")), theta.detach()
