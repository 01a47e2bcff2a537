"""Every number of a run, in frozen dataclasses, and the named presets: the one dial of the project.

`recipe("tiny")` trains on a laptop in minutes, `recipe("aimv2-large-224")` is the paper's model, `recipe("aim-600m")`
its predecessor, AIM v1. A recipe says everything that decides a result: two runs with equal recipes, data and software
see the same batches and draw the same prefixes. Sources in the comments are those of `recipe_parts`; `_published` and
`_published_aimv1` say of every number of a full-scale preset where it comes from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, overload

from aimv2_lab.fields import build, check_range, leaves, merged, unknown_name
from aimv2_lab.mixtures import ADAPTATION_MIXTURE, AIMV1_MIXTURE, AIMV2_MIXTURE
from aimv2_lab.recipe_parts import (
    CLASSES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    DataRecipe,
    DecoderRecipe,
    EncoderAttention,
    EncoderRecipe,
    EngineRecipe,
    MixturePart,
    ObjectiveRecipe,
    PixelHeadRecipe,
    PixelTarget,
    TrainingRecipe,
    TrunkRecipe,
)

__all__ = [
    "CLASSES",
    "PAPER_DECODER",
    "PRESETS",
    "AIMv1Recipe",
    "AnyRecipe",
    "DataRecipe",
    "DecoderRecipe",
    "EncoderAttention",
    "EncoderRecipe",
    "EngineRecipe",
    "FinetuneRecipe",
    "MixturePart",
    "ObjectiveRecipe",
    "PixelHeadRecipe",
    "PixelTarget",
    "PretrainingRecipe",
    "Recipe",
    "TrainingRecipe",
    "TrunkRecipe",
    "any_recipe_from_json",
    "differences",
    "recipe",
]

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


# Width, depth, heads, SwiGLU hidden width and peak learning rate by encoder size. Base is in the released code only;
# its learning rate is our choice (large's).
_SIZES: dict[str, tuple[int, int, int, int, float]] = {
    "base": (768, 12, 6, 2048, 1e-3),
    "large": (1024, 24, 8, 2816, 1e-3),
    "huge": (1536, 24, 12, 4096, 8e-4),
    "1b": (2048, 24, 16, 5632, 8e-4),
    "3b": (3072, 24, 24, 8192, 4e-4),
}

# The paper fixes one decoder for every encoder size; that base, which it does not train, keeps it is our choice.
PAPER_DECODER = DecoderRecipe(width=1024, depth=12, heads=8, hidden=2816)


# Adapting to a higher resolution takes 2 billion pairs (paper, section 2.4): so many steps of 8192 hold them.
_ADAPTATION_STEPS = 244_141


def _published(size: str, image_size: int) -> Recipe:
    """A published size at a published resolution.

    Stated (paper, Tables 1, 2, A1 and sections 2.1, 2.2): width and depth, decoder width and depth, pixel weight,
    betas, peak and least rate, decay, batch, clip, warm-up, steps, cosine, crop, flip, the data's shares.
    Released code: heads, hidden widths, norm eps, positions, CLIP's mean and deviation (checkpoints); the decoder's
    heads and positions, Adam's eps, the warm-up's start, what is not decayed, bfloat16, micro-batches of 128 (training
    code). Ours: base's rate, the stand-ins for data that are not public, the seed, everything in `engine`, and how
    often a run logs, validates and saves.

    At 336 and 448 the paper adapts a 224 model on 2 billion pairs without synthetic captions, with weight decay 0
    (section 2.4, stated). That stage's rate, schedule and batch are not published: those of pre-training are kept,
    which is ours, as are the steps that follow from them.
    """
    width, depth, heads, hidden, peak_lr = _SIZES[size]
    training, data = TrainingRecipe(peak_lr=peak_lr), DataRecipe(mixture=AIMV2_MIXTURE)
    if image_size != 224:
        training = replace(training, weight_decay=0.0, steps=_ADAPTATION_STEPS)
        data = replace(data, mixture=ADAPTATION_MIXTURE)
    encoder = EncoderRecipe(image_size, width, depth, heads, hidden)
    return Recipe(f"aimv2-{size}-{image_size}", encoder, PAPER_DECODER, data=data, training=training)


# Trains on two CPU cores in minutes on the generated world. All sizes and rates are our choice (LOG.md has what was
# tried). Positions are the native encoder's sine-cosine: with them the caption loss fell a little faster than with a
# learned table. Nothing is cropped or flipped, because captions say where things are.
_TINY = Recipe(
    name="tiny",
    encoder=EncoderRecipe(image_size=48, patch_size=12, width=128, depth=4, heads=4, hidden=352, positions="sincos"),
    decoder=DecoderRecipe(width=128, depth=4, heads=4, hidden=352, vocabulary=256, text_tokens=40),
    data=DataRecipe(
        source="world:easy", tokenizer="world", crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip_probability=0.0
    ),
    training=TrainingRecipe(
        steps=3200,
        batch_size=32,
        micro_batch_size=32,
        peak_lr=1e-3,
        warmup_steps=100,
        precision="float32",
        log_every=5,  # as the stored band of ten seeds was logged
        validate_every=250,
        validation_batches=4,
        checkpoint_every=800,
    ),
)

# For real pictures on a CPU or one modest GPU: 112 px, 64 patches. All sizes and rates are our choice.
_SMALL = Recipe(
    name="small",
    encoder=EncoderRecipe(image_size=112, width=256, depth=6, heads=4, hidden=704),
    decoder=DecoderRecipe(width=256, depth=4, heads=4, hidden=704, vocabulary=4096),
    data=DataRecipe(tokenizer="captions"),
    training=TrainingRecipe(
        steps=2000,
        batch_size=32,
        micro_batch_size=32,
        peak_lr=1e-3,
        warmup_steps=100,
        precision="float32",
        validate_every=100,
        validation_batches=6,
        checkpoint_every=200,
    ),
)

# AIM v1's sizes by name: width, depth, heads, and steps in all (AIM v1, Table 1; heads from released inference code).
# One optimisation for every size. Its AdamW is the ordinary one, which multiplies decay by the learning rate; 0.05 is
# the released training code's. Betas, warm-up, least rate, clip, crop ratio and flip are known second-hand only.
_AIMV1_SIZES: dict[str, tuple[int, int, int, int]] = {
    "600m": (1536, 24, 12, 500_000),
    "1b": (2048, 24, 16, 1_200_000),
    "3b": (3072, 24, 24, 1_200_000),
    "7b": (4096, 32, 32, 1_200_000),
}


def _published_aimv1(size: str) -> AIMv1Recipe:
    """A published size of AIM v1.

    Stated (AIM v1): width, depth, steps, peak rate, batch, warm-up then cosine, head of 12 blocks of 2048, sine-cosine
    positions before the trunk and again before the head, pictures alone, DFN-2B and ImageNet-1k as 0.8 and 0.2, crops
    from 0.4, bfloat16. Released code: heads, norm eps, the norm on patches, the head's order of layers, ImageNet's mean
    and deviation, AdamW's decay. From memory (the appendix is not among our sources): betas, clip, warm-up of 31,250,
    least rate 0, crop ratio, flip, and the decay, which the released code confirms; the appendix may have 1,250,000
    steps where the body has 1.2 million. Ours: Adam's eps and the warm-up's start (AIMv2's), the seed, everything in
    `engine`, micro-batches, and how often a run logs, validates and saves.
    """
    width, depth, heads, steps = _AIMV1_SIZES[size]
    training = TrainingRecipe(
        steps=steps,
        batch_size=4096,
        peak_lr=1e-3,
        min_lr=0.0,
        warmup_steps=31_250,
        weight_decay=0.05,
        decay="ordinary",
    )
    data = DataRecipe(mixture=AIMV1_MIXTURE, tokenizer="", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return AIMv1Recipe(f"aim-{size}", TrunkRecipe(224, width, depth, heads), data=data, training=training)


# AIM v1 beside tiny: the same pictures, no captions. All sizes and rates are our choice.
_AIM_TINY = AIMv1Recipe(
    name="aim-tiny",
    encoder=TrunkRecipe(image_size=48, patch_size=12, width=128, depth=4, heads=4),
    head=PixelHeadRecipe(width=128, depth=4),
    data=replace(_TINY.data, tokenizer="", mean=IMAGENET_MEAN, std=IMAGENET_STD),
    training=replace(_TINY.training, steps=1600, min_lr=0.0, weight_decay=0.05, decay="ordinary"),
)

_SHOWN_FIRST: tuple[PretrainingRecipe, ...] = (_TINY, _SMALL, _AIM_TINY)
PRESETS: dict[str, PretrainingRecipe] = (
    {preset.name: preset for preset in _SHOWN_FIRST}
    | {preset.name: preset for preset in (_published(size, px) for size in _SIZES for px in (224, 336, 448))}
    | {preset.name: preset for preset in map(_published_aimv1, _AIMV1_SIZES)}
)

AIMv1Name = Literal["aim-tiny", "aim-600m", "aim-1b", "aim-3b", "aim-7b"]


# A name that a type checker cannot read is taken for one of AIMv2's; where either may come, annotate with
# PretrainingRecipe.
@overload
def recipe(name: AIMv1Name, changes: Mapping[str, Any] | None = None) -> AIMv1Recipe: ...  # type: ignore[overload-overlap]
@overload
def recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe: ...
def recipe(name: str, changes: Mapping[str, Any] | None = None) -> PretrainingRecipe:
    """The named preset, with any fields changed by dotted path: `recipe("tiny", {"training.steps": 100})`.

    Raises UnknownName, a KeyError, for an unknown name or field, with the nearest known ones.
    """
    if name not in PRESETS:
        raise unknown_name("recipe", name, list(PRESETS))
    return PRESETS[name].change(changes) if changes else PRESETS[name]
