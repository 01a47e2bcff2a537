"""Probes of frozen features: what is read, and the grid of rates and decays that a probe is swept over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aimv2_lab.fields import check_range, unknown_name

ProbeKind = Literal["attentive", "linear", "neighbours"]
TABLE_A2_RATES = (5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3)


@dataclass(frozen=True)
class Augmentation:
    """What is done to a picture before it is encoded anew in every epoch (paper, Table A2).

    RandAugment draws `operations` of fifteen, each applied with probability one half, at a magnitude (of 10) drawn
    around `magnitude` with `deviation`: "rand-m9-mstd0.5-inc1" is timm's name for it, and two operations its default.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (0.75, 1.33)
    flip_probability: float = 0.5
    colour_jitter: float = 0.3
    operations: int = 2
    magnitude: float = 9.0
    deviation: float = 0.5


@dataclass(frozen=True)
class ProbeRecipe:
    """How frozen features are probed (paper, Table A2, unless a comment says otherwise).

    `layers` are entries of the residual stream, counted as in `VisionEncoder.hidden_states` or, below zero, from its
    end, whose mean is probed; empty: the last. `normed` applies the encoder's final norm to each. The attentive probe
    reads all patches, the other two their mean. Every rate is trained with every decay, all in one model; the pair that
    is best on `selection_share` of the training pictures, which no probe is trained on, is the one that is scored. That
    share, and the number of `neighbours`, are our choice. Without `augmented` every picture is encoded once.
    """

    kind: ProbeKind = "attentive"
    layers: tuple[int, ...] = ()
    normed: bool = True
    learning_rates: tuple[float, ...] = TABLE_A2_RATES
    weight_decays: tuple[float, ...] = (0.05, 0.1)
    min_lr: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    adam_eps: float = 1e-8  # PyTorch's
    gradient_clip: float = 3.0
    epochs: int = 100
    warmup_epochs: int = 0  # 5 for ImageNet
    batch_size: int = 512  # 1,024 for ImageNet
    classifier_bias: bool = True  # AIM v1's has none; AIMv2's is not described
    augmented: bool = False
    augmentation: Augmentation = Augmentation()
    neighbours: int = 20
    selection_share: float = 0.1

    def __post_init__(self) -> None:
        if not self.learning_rates or not self.weight_decays:
            raise ValueError("learning_rates and weight_decays must each name one value or more")
        for name, value, least in (
            *(("learning_rates", rate, self.min_lr) for rate in self.learning_rates),
            *(("weight_decays", decay, 0.0) for decay in self.weight_decays),
            ("min_lr", self.min_lr, 0.0),
            ("gradient_clip", self.gradient_clip, 1e-20),
            ("epochs", self.epochs, 1),
            ("warmup_epochs", self.warmup_epochs, 0),
            ("batch_size", self.batch_size, 2),  # one picture has no mean over others
            ("neighbours", self.neighbours, 1),
        ):
            check_range(name, value, least)
        check_range("selection_share", self.selection_share, 1e-3, 0.9)
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs = {self.warmup_epochs} leaves none of {self.epochs} epochs")
        if self.augmented and self.kind == "neighbours":
            raise ValueError("augmented = True with kind = 'neighbours': nothing is trained; leave augmented False")

    @property
    def cells(self) -> tuple[tuple[float, float], ...]:
        """Every (rate, decay) of the grid, rates first."""
        return tuple((rate, decay) for rate in self.learning_rates for decay in self.weight_decays)


PROBES: dict[str, ProbeRecipe] = {
    "attentive": ProbeRecipe(),
    "linear": ProbeRecipe("linear"),
    "neighbours": ProbeRecipe("neighbours"),
    "paper": ProbeRecipe(augmented=True),
    # The last six blocks; AIM v1's best six are 14 … 19 of aim-600m and aim-7b, 12 … 17 of aim-1b and aim-3b, counted
    # from 0 (released code). It gives the range of the rates and the decay; the six rates within it are our choice.
    "aim-v1": ProbeRecipe(
        layers=(-6, -5, -4, -3, -2, -1),
        normed=False,
        learning_rates=(1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 4e-3),
        weight_decays=(0.1,),
        classifier_bias=False,
        augmented=True,
    ),
}


def probe_recipe(name: str) -> ProbeRecipe:
    """The named probe; raises UnknownName, a KeyError, with the nearest names."""
    if name not in PROBES:
        raise unknown_name("probe", name, list(PROBES))
    return PROBES[name]
