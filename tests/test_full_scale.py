"""The full-scale presets as they would be trained: sizes, optimizer groups, schedule and data, without any memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from aimv2_lab.data.order import MixedOrder
from aimv2_lab.model.models import AnyModel, model_of
from aimv2_lab.recipes import AIMv1Recipe, MixturePart, PretrainingRecipe, any_recipe_from_json, recipe
from aimv2_lab.recipes.mixtures import ADAPTATION_MIXTURE, AIMV1_MIXTURE, AIMV2_MIXTURE
from aimv2_lab.training.optimizers.building import build_optimizer, learning_rate


class Digest(NamedTuple):
    """A preset in one line: the paper's size of the encoder in billions, ours exactly, and the run's numbers."""

    stated: float
    encoder: int
    whole: int
    peak_lr: float
    decay_at_peak: float  # what a step at the peak takes off a weight
    batch: int
    steps: int


# Sizes stated in Table 1 of either paper, which count the encoder alone; the rest from Table A1 and AIM v1's text.
DIGESTS = {
    "aimv2-large-224": Digest(0.3, 309_197_824, 530_631_680, 1e-3, 1e-4, 8192, 1_500_000),
    "aimv2-huge-224": Digest(0.6, 680_851_968, 902_810_112, 8e-4, 1e-4, 8192, 1_500_000),
    "aimv2-1b-224": Digest(1.2, 1_234_958_336, 1_457_440_768, 8e-4, 1e-4, 8192, 1_500_000),
    "aimv2-3b-224": Digest(2.7, 2_720_658_432, 2_944_189_440, 4e-4, 1e-4, 8192, 1_500_000),
    "aim-600m": Digest(0.6, 680_535_552, 1_087_643_724, 1e-3, 0.05 * 1e-3, 4096, 500_000),
    "aim-1b": Digest(1.2, 1_209_370_624, 1_617_527_372, 1e-3, 0.05 * 1e-3, 4096, 1_200_000),
    "aim-3b": Digest(2.7, 2_720_025_600, 3_130_279_500, 1e-3, 0.05 * 1e-3, 4096, 1_200_000),
    "aim-7b": Digest(6.5, 6_445_404_160, 6_857_755_212, 1e-3, 0.05 * 1e-3, 4096, 1_200_000),
}


def fake_model(known: PretrainingRecipe) -> AnyModel:
    """A model without contents that says it lies on the CPU, where any optimizer can be built."""
    with torch.device("meta"):
        model = model_of(known)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            module.register_parameter(name, nn.Parameter(torch.empty(parameter.shape)))
    return model


def count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def vectors(known: PretrainingRecipe) -> int:
    """Norms, biases, position tables and the start vector: what is not decayed."""
    width, depth = known.encoder.width, known.encoder.depth
    if isinstance(known, AIMv1Recipe):  # LayerNorms have a bias; positions are a formula
        head = known.head.width * (1 + 4 * known.head.depth + 2) + known.encoder.patch_values
        return width * (1 + 2 + 4 * depth + 2) + head
    decoder = known.decoder.width * (1 + 1 + known.decoder.text_tokens + 2 * known.decoder.depth + 1)
    return width * (1 + 1 + known.encoder.patches + 2 * depth + 1) + decoder


@pytest.mark.parametrize("name", DIGESTS)
def test_every_parameter_is_trained_at_the_peak_rate_and_matrices_alone_decay(name: str) -> None:
    known: PretrainingRecipe = recipe(name)
    digest, training = DIGESTS[name], known.training
    with FakeTensorMode():
        model = fake_model(known)
        groups = build_optimizer(model, training).param_groups
    assert count(model.encoder.parameters()) == digest.encoder
    assert digest.encoder / 1e9 == pytest.approx(digest.stated, rel=0.15)  # AIM's 0.681 billion go by 0.6
    assert count(model.parameters()) == digest.whole
    assert all(parameter.requires_grad for parameter in model.parameters())  # nothing is frozen
    trained = [parameter for group in groups for parameter in group["params"]]
    assert sorted(map(id, trained)) == sorted(map(id, model.parameters()))
    assert {group["lr"] for group in groups} == {digest.peak_lr}
    spared = [group for group in groups if group["weight_decay"] == 0]
    assert sum(count(group["params"]) for group in spared) == vectors(known)
    (decay,) = {group["weight_decay"] for group in groups if group["weight_decay"]}
    assert decay * digest.peak_lr == pytest.approx(digest.decay_at_peak)
    assert (training.batch_size, training.steps) == (digest.batch, digest.steps)
    assert all(group["betas"] == (0.9, 0.95) for group in groups)


@pytest.mark.parametrize("name", DIGESTS)
def test_the_schedule_at_its_four_corners(name: str) -> None:
    training = recipe(name).training
    warm_up, least = (31_250, 0.0) if name.startswith("aim-") else (12_500, 1e-5)
    peak, last = DIGESTS[name].peak_lr, DIGESTS[name].steps - 1
    middle = warm_up + (last - warm_up) / 2
    rates = [learning_rate(step, training) for step in (0, warm_up, round(middle), last)]
    assert rates == pytest.approx([1e-6, peak, (peak + least) / 2, least], rel=1e-4)


def drawn(mixture: tuple[MixturePart, ...], positions: int) -> dict[str, int]:
    order = MixedOrder([[1_000]] * len(mixture), [part.weight for part in mixture], seed=0)
    names = [mixture[order.place(position).source].name for position in range(positions)]
    return dict(Counter(names))


def test_the_mixtures_are_the_papers() -> None:
    shares = {"dfn-alt": 30, "dfn-synthetic": 30, "coyo-alt": 9, "hqitp-alt": 28, "hqitp-synthetic": 3}
    assert drawn(AIMV2_MIXTURE, 100) == shares
    assert drawn(ADAPTATION_MIXTURE, 67) == {name: n for name, n in shares.items() if name.endswith("alt")}
    assert drawn(AIMV1_MIXTURE, 10) == {"dfn": 8, "imagenet-1k": 2}
    for part in AIMV2_MIXTURE:
        assert part.synthetic_share == part.name.endswith("synthetic")
        assert bool(part.synthetic_column) == part.name.endswith("synthetic")


@pytest.mark.parametrize("name", [*DIGESTS, "aimv2-base-224", "aimv2-large-336", "aimv2-3b-448"])
def test_presets_carry_their_mixture_and_are_written_whole(name: str) -> None:
    known: PretrainingRecipe = recipe(name)
    expected = AIMV1_MIXTURE if name.startswith("aim-") else AIMV2_MIXTURE
    assert known.data.mixture == (expected if name.endswith("224") or name in DIGESTS else ADAPTATION_MIXTURE)
    assert any_recipe_from_json(known.to_json()) == known
