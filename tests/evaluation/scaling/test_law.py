"""The fit finds the law that made its losses, and its refusals."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.evaluation.scaling.law import fit_law

N = [1e4, 3e4, 1e5, 4e5]
D = [6e3, 13e3, 26e3, 51e3]


def made(noise: float = 0.0) -> tuple[list[float], list[float], list[float]]:
    draws = torch.Generator().manual_seed(0)
    pairs = [(n, d) for n in N for d in D]
    losses = [
        (0.4 + 3.0 * n**-0.25 + 40 * d**-0.5) * (1 + noise * torch.randn(1, generator=draws).item()) for n, d in pairs
    ]
    return [n for n, _ in pairs], [d for _, d in pairs], losses


def test_the_law_that_made_the_losses_is_found() -> None:
    law = fit_law(*made())
    assert law.floor == pytest.approx(0.4, rel=1e-2)
    assert (law.a_power, law.b_power) == pytest.approx((0.25, 0.5), rel=2e-2)
    assert law.error < 1e-4
    # Beyond what was fitted, too.
    assert law.loss(4e6, 1e6).item() == pytest.approx(0.4 + 3 * 4e6**-0.25 + 40 * 1e6**-0.5, rel=1e-2)


def test_noise_moves_it_little_and_is_its_error() -> None:
    law = fit_law(*made(noise=0.005))
    assert 0.002 < law.error < 0.008
    assert (law.a_power, law.b_power) == pytest.approx((0.25, 0.5), abs=0.15)


def test_too_little_to_fit_is_refused() -> None:
    n, d, losses = made()
    with pytest.raises(ValueError, match="5 losses of 2 sizes"):
        fit_law(n[:5], d[:5], losses[:5])
    with pytest.raises(ValueError, match="8 losses of 8 sizes and 1 numbers"):
        fit_law(range(1, 9), [7.0] * 8, losses[:8])
    with pytest.raises(ValueError, match="a loss of -1"):
        fit_law(n, d, [-1.0, *losses[1:]])
