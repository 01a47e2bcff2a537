"""The plain engine of notebooks and single machines: forward, backward, step."""

from __future__ import annotations

from typing import Generic, Protocol

import torch
from torch import Tensor
from typing_extensions import TypeVar  # typing has no defaults before Python 3.13

from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.models import AnyModel
from aimv2_lab.recipes import TrainingRecipe
from aimv2_lab.training.blocks import prepare_blocks
from aimv2_lab.training.optimizers import build_optimizer, learning_rate

# Which model an engine drives, for whoever asks it for its model.
ModelT = TypeVar("ModelT", bound=AnyModel, default=AnyModel, covariant=True)


class Predictor(Protocol):
    """What losses need: an engine, or a model as it is."""

    def forward(
        self, images: Tensor, tokens: Tensor, prefix_lengths: Tensor | None, text_slots: Tensor | None = None
    ) -> Predictions:
        """The model's predictions; an engine's are in its precision."""
        ...


class Engine(Predictor, Protocol):
    """The three verbs that a training step needs of whatever drives the model."""

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of this step's earlier micro-batches."""
        ...

    def step(self) -> Tensor:
        """Clip, update the weights, clear the gradients; returns the gradient norm before clipping."""
        ...


def pick_device() -> torch.device:
    """The first CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class LocalEngine(Generic[ModelT]):
    """One process, one device, no wrapping: the model stays as it is, its blocks run as its recipe's engine says."""

    def __init__(self, model: ModelT, training: TrainingRecipe, device: torch.device, steps_done: int = 0) -> None:
        model.to(device)  # in place
        prepare_blocks(model, model.recipe.engine)
        self.model = model
        self.optimizer = build_optimizer(self.model, training)
        self.training = training
        self.device = device
        self.steps_done = steps_done

    def forward(
        self, images: Tensor, tokens: Tensor, prefix_lengths: Tensor | None, text_slots: Tensor | None = None
    ) -> Predictions:
        """Predictions under the recipe's precision; bfloat16 is autocast over float32 weights."""
        half = self.training.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            return self.model(images, tokens, prefix_lengths, text_slots)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of this step's earlier micro-batches."""
        loss.backward()

    def step(self) -> Tensor:
        """Clip, update the weights with this step's learning rate, clear the gradients; returns the gradient norm."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.training.gradient_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.steps_done, self.training)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        return norm
