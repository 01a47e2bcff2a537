"""What an examination measures: the package as it is at the moment, healthy or sick."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aimv2_lab.data.batches import batches
from aimv2_lab.lessons.bugs.phantoms import CLINIC, clinic_model, phantom_dataset
from aimv2_lab.lessons.model_leaks import model_leaks
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.decoder import Predictions
from aimv2_lab.model.objective import LossCounts, losses, pixel_errors, pixel_targets
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.step import batch_losses, loss_counts

PATCHES, SIZE = CLINIC.encoder.patches, CLINIC.encoder.patch_size
PREFIX = 6  # of the leak meter and of the targets' picture
TOKENS = torch.tensor([7, 3, 5, 2, 1])
RANKS, RANK_STEPS = 2, 8
FIRST_BATCHES = 8


def noise_pictures(count: int) -> Tensor:
    """Pictures (B, 3, 8, 8) of normal noise, the same in every call."""
    side = CLINIC.encoder.image_size
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def wide_model() -> AIMv2:
    """The clinic's model with wide weights, which hide nothing."""
    model = clinic_model()
    draw_wide_weights(model, torch.Generator().manual_seed(0))
    return model.eval()


def first_losses() -> tuple[float, float]:
    """Pixel and text loss of an untrained model, averaged over a few batches."""
    engine = LocalEngine(clinic_model(), CLINIC.training, torch.device("cpu"))
    found = batches(phantom_dataset("pictures"), CLINIC.training.batch_size, 0, FIRST_BATCHES, workers=0)
    with torch.no_grad():
        each = [torch.stack(batch_losses(engine, batch, loss_counts(batch, CLINIC), CLINIC)) for batch in found]
    _, pixel, text = torch.stack(each).mean(dim=0).tolist()
    return pixel, text


def leaks() -> Tensor:
    """The whole model's leak matrix, with wide weights."""
    return model_leaks(wide_model(), noise_pictures(2), TOKENS, PREFIX)


class Targets(NamedTuple):
    """`compared` (I-1,): the patch that each output is compared with; `moved` (I-1,): whether it gets a gradient;
    `tokens` and `counted` (B, T): of one batch."""

    compared: Tensor
    moved: Tensor
    tokens: Tensor
    counted: Tensor


def targets() -> Targets:
    """Which patch each output must say to cost nothing, which outputs are moved, and which tokens count."""
    image, nothing = noise_pictures(1), torch.empty(1, 0, dtype=torch.long)
    said = [patch.expand(1, PATCHES, -1) for patch in standardise(patchify(image, SIZE)).values[0]]
    compared = torch.stack([pixel_errors(pixels, image, SIZE)[0] for pixels in said]).argmin(dim=0)
    leaf = torch.ones(1, PATCHES, CLINIC.encoder.patch_values, requires_grad=True)
    outputs = Predictions(leaf, torch.empty(1, 0, CLINIC.decoder.vocabulary))
    counts = LossCounts(PATCHES - PREFIX, 0)
    losses(outputs, image, nothing, nothing.bool(), torch.tensor([PREFIX]), counts, 0.4, SIZE).total.backward()
    assert leaf.grad is not None
    batch = next(iter(batches(phantom_dataset("pictures"), 8, 0, 1, workers=0)))
    return Targets(compared, leaf.grad[0, :-1].abs().sum(dim=-1) > 0, batch.tokens, batch.counted)


def pixels() -> tuple[Tensor, Tensor]:
    """The values that enter the model, and those it is to predict, of one batch, flat."""
    batch = next(iter(batches(phantom_dataset("pictures"), 32, 0, 1, workers=0)))
    return batch.images.flatten(), pixel_targets(batch.images, SIZE).flatten()


def prefixes() -> Tensor:
    """Prefix lengths (ranks, steps, images of a rank) of a run on two ranks."""
    dataset, size = phantom_dataset("pictures"), CLINIC.training.batch_size
    each = [
        [batch.prefix_lengths for batch in batches(dataset, size, 0, RANK_STEPS, 0, rank, RANKS)]
        for rank in range(RANKS)
    ]
    return torch.stack([torch.stack(steps) for steps in each])


@torch.no_grad()
def places() -> Tensor:
    """How far each patch's feature is from the first one's (rows, columns) when all patches are alike, relatively."""
    side = CLINIC.encoder.grid_size
    features = wide_model().encoder(torch.ones(1, 3, CLINIC.encoder.image_size, CLINIC.encoder.image_size))[0]
    return ((features - features[0]).norm(dim=-1) / features[0].norm()).reshape(side, side)


class Updates(NamedTuple):
    """`rates` (steps,) that the optimizer used; `kept`: by kind of weight, the share of its norm that is left."""

    rates: Tensor
    kept: dict[str, float]


def updates() -> Updates:
    """Run the optimizer over the whole schedule with gradients of zero: what moves now is moved by decay alone."""
    model = wide_model()
    before = {name: parameter.detach().norm() for name, parameter in model.named_parameters()}
    engine = LocalEngine(model, CLINIC.training, torch.device("cpu"))
    rates = []
    for _step in range(CLINIC.training.steps):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        engine.step()
        rates.append(engine.optimizer.param_groups[0]["lr"])
    left: dict[str, list[float]] = {}
    for name, parameter in model.named_parameters():
        left.setdefault(kind_of(name, parameter), []).append((parameter.detach().norm() / before[name]).item())
    return Updates(torch.tensor(rates), {kind: sum(shares) / len(shares) for kind, shares in left.items()})


def kind_of(name: str, parameter: Tensor) -> str:
    """What a weight is, by its name."""
    for part, kind in (("norm", "norms"), ("bias", "biases"), ("positions", "positions"), ("start", "start vector")):
        if name.rpartition(".")[2] == part or part in name:
            return kind
    return "matrices"


def repeats(lengths: Tensor) -> bool:
    """Whether all lengths (ranks, steps, images) of some batch are equal, or two ranks draw the same throughout."""
    one_for_all = (lengths == lengths[..., :1]).all(dim=-1).any()
    return bool(one_for_all) or torch.equal(lengths[0], lengths[1])
