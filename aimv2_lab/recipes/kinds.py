"""The kinds of recipes: a run of AIMv2, of AIM v1, or of fine-tuning, whole; written, read, changed and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from aimv2_lab.fields import build, check_range, leaves, merged
from aimv2_lab.recipes.data import CLASSES, IMAGENET_MEAN, IMAGENET_STD, DataRecipe
from aimv2_lab.recipes.decoder import DecoderRecipe, ObjectiveRecipe, PixelHeadRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.training import EngineRecipe, TrainingRecipe

RECIPE_FIELD = "recipe field"  # what error messages call a field


def _check_precision(training: TrainingRecipe, engine: EngineRecipe) -> None:
    if engine.weights == "bfloat16" and training.precision != "bfloat16":
        raise ValueError(
            "engine.weights = 'bfloat16' cannot compute in float32: set training.precision bfloat16, or engine.weights "
            "float32"
        )


@dataclass(frozen=True)
class _Writable:
    """Writing, reading and changing, the same for both kinds of recipe."""

    def to_json(self) -> str:
        """The recipe as readable JSON, every field written out."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; an unknown field raises UnknownName, a KeyError, with the nearest names."""
        return build(cls, json.loads(text), RECIPE_FIELD)

    def change(self, changes: Mapping[str, Any]) -> Self:
        """A copy with fields changed by dotted path, e.g. {"training.steps": 100}.

        A source that is named takes the place of a mixture, and a mixture that of a source. Raises UnknownName for an
        unknown field (with the nearest names), ValueError for values that do not fit.
        """
        return build(type(self), merged(asdict(self), _either_data(changes), RECIPE_FIELD), RECIPE_FIELD)


def _either_data(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, and of data.source and data.mixture the one emptied that the other takes the place of."""
    found = dict(changes)
    if found.get("data.source"):
        found.setdefault("data.mixture", [])
    elif found.get("data.mixture"):
        found.setdefault("data.source", "")
    return found


@dataclass(frozen=True)
class Recipe(_Writable):
    """One run of AIMv2, whole."""

    name: str
    encoder: EncoderRecipe
    decoder: DecoderRecipe
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)

    def __post_init__(self) -> None:
        _check_precision(self.training, self.engine)
        if not self.data.tokenizer:
            raise ValueError("data.tokenizer is empty: captions need one; give captions, world, a folder or a hub name")
        if self.data.tokenizer == CLASSES:
            raise ValueError(f"data.tokenizer = {CLASSES!r} reads labels: fine-tune with it (launch.finetune)")

    @property
    def text_tokens(self) -> int:
        """The most text tokens of a pair."""
        return self.decoder.text_tokens


@dataclass(frozen=True)
class AIMv1Recipe(_Writable):
    """One run of AIM v1, whole: pictures alone, next-patch prediction alone."""

    name: str
    encoder: TrunkRecipe
    head: PixelHeadRecipe = field(default_factory=PixelHeadRecipe)
    objective: ObjectiveRecipe = field(default_factory=lambda: ObjectiveRecipe(pixel_weight=1.0))
    data: DataRecipe = field(default_factory=lambda: DataRecipe(tokenizer="", mean=IMAGENET_MEAN, std=IMAGENET_STD))
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)

    def __post_init__(self) -> None:
        _check_precision(self.training, self.engine)
        if self.objective.encoder_attention == "bidirectional":
            raise ValueError(
                "objective.encoder_attention = 'bidirectional' leaves AIM v1 nothing to learn from: every prediction "
                "has seen its target, and there are no captions. Choose prefix or causal"
            )
        if self.data.tokenizer:
            raise ValueError(f"data.tokenizer = {self.data.tokenizer!r}: AIM v1 reads no captions. Leave it empty")

    @property
    def text_tokens(self) -> int:
        """None: AIM v1 reads no captions."""
        return 0


@dataclass(frozen=True)
class FinetuneRecipe(_Writable):
    """One run of image classification from a trained encoder, whole.

    `start` is the checkpoint, or run folder, whose encoder is gone on with. `method` says what of it is trained beside
    the new head: "full" all weights, with the rate of block i of N, counted from 0, multiplied by
    `layer_decay` ** (N - i), "lora" adapters of `lora_rank` on every linear layer of the blocks, added with the factor
    lora_alpha / lora_rank, "frozen" nothing. `classes` are the labels in the order of the head's outputs; empty: those
    that the training data have, which are written into the run's recipe. Layer decay, rank and alpha are our choice
    within what is usual (BEiT: 0.65 … 0.85; AIM v1: rank 8).
    """

    name: str
    start: str
    encoder: EncoderRecipe | TrunkRecipe
    method: Literal["full", "lora", "frozen"] = "full"
    classes: tuple[str, ...] = ()
    layer_decay: float = 0.75
    lora_rank: int = 8
    lora_alpha: int = 16
    data: DataRecipe = field(default_factory=lambda: DataRecipe(tokenizer=CLASSES))
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)

    def __post_init__(self) -> None:
        _check_precision(self.training, self.engine)
        check_range("layer_decay", self.layer_decay, 1e-3, 1.0)
        check_range("lora_rank", self.lora_rank, 1)
        if not self.start:
            raise ValueError("start is empty: give the checkpoint or run folder whose encoder is fine-tuned")
        if len(self.classes) == 1 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes = {self.classes!r:.200}: at least two are needed, each once; empty: the data's")
        if self.data.tokenizer != CLASSES:
            raise ValueError(
                f"data.tokenizer = {self.data.tokenizer!r}: fine-tuning reads labels; leave it {CLASSES!r}"
            )
        if self.training.optimizer != "adamw":
            raise ValueError(f"training.optimizer = {self.training.optimizer!r}: fine-tuning has adamw alone")
        if self.engine.weights == "bfloat16" and self.method != "full":
            raise ValueError(
                f"engine.weights = 'bfloat16' with method = {self.method!r}: frozen weights have no float32 copies in "
                "the optimizer, and would be rounded for good. Leave engine.weights float32"
            )

    @property
    def text_tokens(self) -> int:
        """One: a label is read as a caption of one token."""
        return 1

    @property
    def objective(self) -> ObjectiveRecipe:
        """The whole picture is seen, and no patch is predicted."""
        return ObjectiveRecipe(pixel_weight=0.0, encoder_attention="bidirectional")


PretrainingRecipe = Recipe | AIMv1Recipe
AnyRecipe = PretrainingRecipe | FinetuneRecipe


def any_recipe_from_json(text: str) -> AnyRecipe:
    """Read any kind of recipe, as `from_json` does; AIM v1's has a head where AIMv2's has a decoder, fine-tuning's a
    start."""
    values = json.loads(text)
    kind: type[AnyRecipe] = AIMv1Recipe if "head" in values else FinetuneRecipe if "start" in values else Recipe
    return kind.from_json(text)


def differences(old: AnyRecipe, new: AnyRecipe) -> dict[str, tuple[Any, Any]]:
    """Dotted path -> (old value, new value) for every field in which two recipes differ; None where one lacks it."""
    before, after = dict(leaves(asdict(old))), dict(leaves(asdict(new)))
    paths = [*before, *(path for path in after if path not in before)]
    return {path: (before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)}
