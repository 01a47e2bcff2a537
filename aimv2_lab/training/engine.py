"""The plain engine of notebooks and single machines: forward, backward, step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol

import torch
from torch import Tensor
from typing_extensions import TypeVar  # typing has no defaults before Python 3.13

from aimv2_lab.model.models import AnyModel
from aimv2_lab.recipes import TrainingRecipe
from aimv2_lab.training.blocks import prepare_blocks
from aimv2_lab.training.optimizers.building import build_optimizer, set_learning_rate
from aimv2_lab.training.optimizers.state import optimizer_tensors, restore_optimizer
from aimv2_lab.training.ranks import ALONE, Ranks

# Which model an engine drives, for whoever asks it for its model.
ModelT = TypeVar("ModelT", bound=AnyModel, default=AnyModel, covariant=True)


class Predictor(Protocol):
    """What losses need: an engine, or a model as it is."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """What the model makes of its inputs; an engine's is in its precision."""
        ...


class Engine(Predictor, Protocol):
    """The three verbs that a training step needs of whatever drives the model, and what checkpoints need of it.

    Under several ranks all of them call the same method at the same time.
    """

    device: torch.device
    steps_done: int

    @property
    def model(self) -> AnyModel:
        """The model, not wrapped."""
        ...

    @property
    def ranks(self) -> Ranks:
        """Those that drive the same model."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of this step's earlier micro-batches."""
        ...

    def step(self) -> Tensor:
        """Clip, update the weights, clear the gradients; returns the gradient norm before clipping."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """Every weight by name, whole, in float32, on the first rank; nothing on the others."""
        ...

    def optimizer_state(self) -> dict[str, Tensor]:
        """The optimizer's tensors, whole, as `optimizer_tensors` names them, on the first rank; nothing elsewhere."""
        ...

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], steps_done: int) -> None:
        """Go on from what an engine, this kind or the other, gave as `weights` and `optimizer_state`."""
        ...


def pick_device() -> torch.device:
    """The first CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def in_precision(training: TrainingRecipe, device: torch.device) -> torch.autocast:
    """The context that a model computes in; bfloat16 is autocast, whatever the weights are kept in."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=training.precision == "bfloat16")


class LocalEngine(Generic[ModelT]):
    """One process, one device, no wrapping: the model stays as it is, its blocks run as its recipe's engine says."""

    ranks = ALONE

    def __init__(self, model: ModelT, training: TrainingRecipe, device: torch.device, steps_done: int = 0) -> None:
        model.to(device)  # in place
        prepare_blocks(model, model.recipe.engine)
        self.model = model
        self.optimizer = build_optimizer(self.model, training)
        self.training = training
        self.device = device
        self.steps_done = steps_done

    def forward(self, *inputs: Tensor | None) -> Any:
        """What the model makes of its inputs in the recipe's precision; bfloat16 is autocast over float32 weights."""
        with in_precision(self.training, self.device):
            return self.model(*inputs)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of this step's earlier micro-batches."""
        loss.backward()

    def step(self) -> Tensor:
        """Clip, update the weights with this step's learning rate, clear the gradients; returns the gradient norm."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.training.gradient_clip)
        set_learning_rate(self.optimizer, self.steps_done, self.training)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        return norm

    def weights(self) -> dict[str, Tensor]:
        """Every weight by name."""
        return {name: weight.detach() for name, weight in self.model.state_dict().items()}

    def optimizer_state(self) -> dict[str, Tensor]:
        """The optimizer's tensors, as `optimizer_tensors` names them."""
        return optimizer_tensors(self.optimizer, self.model)

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], steps_done: int) -> None:
        """Go on from what an engine of either kind had."""
        self.model.load_state_dict(weights)
        restore_optimizer(self.optimizer, self.model, state)
        self.steps_done = steps_done
