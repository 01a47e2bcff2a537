"""How a model's blocks are run: recomputed for the backward pass, compiled, or as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aimv2_lab.model.aimv1 import HeadBlock
from aimv2_lab.model.layers import Block
from aimv2_lab.recipes import EngineRecipe


def prepare_blocks(model: nn.Module, engine: EngineRecipe) -> None:
    """Have every block of the model run as the recipe says; the weights keep their names and values.

    Before a wrapper such as DeepSpeed takes the model; a block that was prepared stays as it is. Block by block,
    because blocks are alike: one is compiled, and its code serves the others.
    """
    for block in model.modules():
        if isinstance(block, Block | HeadBlock) and "forward" not in vars(block):
            if engine.activation_checkpointing:
                block.forward = _recomputed(block.forward)  # type: ignore[method-assign]
            if engine.compile:  # second: what is compiled inside a checkpoint, torch runs as it is, without a word
                block.forward = torch.compile(block.forward)  # type: ignore[method-assign]


def _recomputed(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A block that keeps its input only, and runs again for the backward pass."""

    def run(*inputs: Any, **options: Any) -> Tensor:
        # Nothing in a block is random: no generator's state need be kept.
        return checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=False, **options)

    return run
