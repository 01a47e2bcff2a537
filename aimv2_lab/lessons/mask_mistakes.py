"""Other answers to who may look at whom, the wrong ones too, planted in a copy of a model.

A rule takes prefix lengths (B,) and the number of patches, and returns a boolean mask (B, 1, I, I), as `prefix_mask`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.masks import causal_mask, prefix_mask

MaskRule = Callable[[Tensor, int], Tensor]
Masked = TypeVar("Masked", AIMv2, VisionEncoder)


def transposed(prefix_lengths: Tensor, patches: int) -> Tensor:
    """Rows and columns exchanged: patches outside the prefix see the later ones in place of the earlier ones."""
    return prefix_mask(prefix_lengths, patches).transpose(-2, -1)


def off_by_one(prefix_lengths: Tensor, patches: int) -> Tensor:
    """`j <= M` in place of `j < M`: patch M, the first that is predicted, can be seen by all."""
    return prefix_mask(prefix_lengths + 1, patches)


def bidirectional(prefix_lengths: Tensor, patches: int) -> Tensor:
    """Everything sees everything, whatever the prefix."""
    return torch.ones(len(prefix_lengths), 1, patches, patches, dtype=torch.bool, device=prefix_lengths.device)


def causal(prefix_lengths: Tensor, patches: int) -> Tensor:
    """The prefix is forgotten: hides more than it should, and leaks nothing."""
    return causal_mask(patches, prefix_lengths.device).expand(len(prefix_lengths), 1, -1, -1)


def from_the_end(prefix_lengths: Tensor, patches: int) -> Tensor:
    """The last M patches are taken for the prefix in place of the first."""
    at_the_end = torch.arange(patches, device=prefix_lengths.device) >= patches - prefix_lengths[:, None]
    return (causal_mask(patches, prefix_lengths.device) | at_the_end[:, None, :])[:, None]


def with_mask(model: Masked, rule: MaskRule) -> Masked:
    """A copy of `model` whose encoder masks by `rule` where it gets prefix lengths; the model itself stays as it is."""
    changed = copy.deepcopy(model)
    encoder = changed.encoder if isinstance(changed, AIMv2) else changed

    def exchange(_: nn.Module, arguments: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        stream, mask = arguments
        if mask is None:
            return stream, None
        prefix_lengths = mask[:, 0, 0].sum(dim=-1)  # query 0 sees the prefix and nothing else
        return stream, rule(prefix_lengths, mask.shape[-1])

    for block in encoder.blocks:
        block.register_forward_pre_hook(exchange)
    return changed
