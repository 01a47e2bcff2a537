"""A run of AIMv2 or of AIM v1, whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from aimv2_lab.recipes.data import CLASSES, IMAGENET_MEAN, IMAGENET_STD, DataRecipe
from aimv2_lab.recipes.decoder import DecoderRecipe, ObjectiveRecipe, PixelHeadRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.resolution import ResolutionRecipe, check_native
from aimv2_lab.recipes.training import EngineRecipe, TrainingRecipe
from aimv2_lab.recipes.writing import Writable, check_precision


@dataclass(frozen=True)
class Recipe(Writable):
    """One run of AIMv2, whole.

    `start` is the checkpoint, or run folder, of the same model for pictures of any size that is gone on with, encoder
    and decoder; empty: all weights are drawn.
    """

    name: str
    encoder: EncoderRecipe
    decoder: DecoderRecipe
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)
    resolution: ResolutionRecipe = field(default_factory=ResolutionRecipe)
    start: str = ""

    def __post_init__(self) -> None:
        check_precision(self.training, self.engine)
        check_native(self.resolution, self.encoder, self.training, self.objective)
        if self.decoder.separate and (not self.text_tokens or self.objective.target == "none"):
            raise ValueError("decoder.separate = True with one half of the objective: leave it False, one decoder does")
        if self.start and self.data.tokenizer == "captions":
            raise ValueError(
                f"data.tokenizer = 'captions' would train another tokenizer than that of start = {self.start!r}, whose "
                "decoder knows the tokens of its own run: name that run's folder, data.tokenizer RUN/tokenizer"
            )
        if not self.text_tokens:
            _check_pictures_alone(self.data.tokenizer, self.objective, "a decoder with text_tokens = 0")
            return
        if not self.data.tokenizer:
            raise ValueError("data.tokenizer is empty: captions need one; give captions, world, a folder or a hub name")
        if self.data.tokenizer == CLASSES:
            raise ValueError(f"data.tokenizer = {CLASSES!r} reads labels: fine-tune with it (launch.finetune)")

    @property
    def text_tokens(self) -> int:
        """The most text tokens of a pair; none where pictures alone are learned."""
        return self.decoder.text_tokens

    @property
    def vocabulary(self) -> int:
        """Entries of the token table."""
        return self.decoder.vocabulary


@dataclass(frozen=True)
class AIMv1Recipe(Writable):
    """One run of AIM v1, whole: pictures alone, next-patch prediction alone."""

    name: str
    encoder: TrunkRecipe
    head: PixelHeadRecipe = field(default_factory=PixelHeadRecipe)
    objective: ObjectiveRecipe = field(default_factory=lambda: ObjectiveRecipe(pixel_weight=1.0))
    data: DataRecipe = field(default_factory=lambda: DataRecipe(tokenizer="", mean=IMAGENET_MEAN, std=IMAGENET_STD))
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)

    def __post_init__(self) -> None:
        check_precision(self.training, self.engine)
        _check_pictures_alone(self.data.tokenizer, self.objective, "AIM v1")

    @property
    def text_tokens(self) -> int:
        """None: AIM v1 reads no captions."""
        return 0


def _check_pictures_alone(tokenizer: str, objective: ObjectiveRecipe, who: str) -> None:
    """Raise ValueError where a run without captions has a tokenizer, or nothing that it could learn."""
    if objective.encoder_attention == "bidirectional":
        raise ValueError(
            f"objective.encoder_attention = 'bidirectional' leaves {who} nothing to learn from: every prediction "
            "has seen its target, and there are no captions. Choose prefix or causal"
        )
    if tokenizer:
        raise ValueError(f"data.tokenizer = {tokenizer!r}: {who} reads no captions. Leave it empty")
    if not objective.pixel_weight > 0:
        raise ValueError(f"objective.pixel_weight = {objective.pixel_weight} leaves {who} nothing to learn from")
