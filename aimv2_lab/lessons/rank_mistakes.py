"""What goes wrong between ranks without an error: draws that repeat, and a mean where a sum was meant."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.engine import LocalEngine


def drawn_prefixes(ranks: int, per_rank: int, patches: int, batches: int, same_seed: bool) -> np.ndarray:
    """Prefix lengths (batches, ranks * per_rank), uniform on 1 … patches - 1.

    With `same_seed` every rank draws from a generator of the same seed, as where each sets the run's seed and then
    draws as it needs.
    """
    width = per_rank if same_seed else ranks * per_rank
    drawn = np.random.default_rng(0).integers(1, patches, size=(batches, width))
    return np.tile(drawn, ranks) if same_seed else drawn


class AveragingEngine(LocalEngine[AIMv2]):
    """The plain engine with the gradients of DeepSpeed's when it is not told that losses are shares.

    DeepSpeed averages over ranks and micro-batches, `parts` of them in all; shares must be added up.
    """

    def __init__(self, model: AIMv2, recipe: Recipe, parts: int) -> None:
        super().__init__(model, recipe.training, torch.device("cpu"))
        self.parts = parts

    def backward(self, loss: Tensor) -> None:
        """Add a part of the right gradients."""
        super().backward(loss / self.parts)
