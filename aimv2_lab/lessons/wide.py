"""Weights drawn wide, so that a comparison of two models can see every mistake."""

from __future__ import annotations

import torch
from torch import nn


def draw_wide_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter of `module` in place, wide enough that each one moves the output.

    A model as initialised hides mistakes: with every norm weight at 1, two norms can be swapped and nothing changes.
    Linears (and convolutions) are normal with deviation 1.5 / sqrt(fan-in), norm weights 1 + 0.3 normal, biases 0.2
    normal, position tables 0.5 normal. Parameters are drawn in the order in which the module lists them.
    """
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            parameter.copy_(_widened(name, noise))


def _widened(name: str, noise: torch.Tensor) -> torch.Tensor:
    """Standard normal noise, spread as the kind of parameter asks."""
    if noise.ndim == 1:
        return 1 + 0.3 * noise if "norm" in name else 0.2 * noise
    if "position" in name:
        return 0.5 * noise
    return noise * (1.5 / noise[0].numel() ** 0.5)
