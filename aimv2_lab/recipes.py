"""Every number of a run, in frozen dataclasses, and the named presets: the one dial of the project.

`recipe("tiny")` trains on a laptop in minutes, `recipe("aimv2-large-224")` is the paper's model. A recipe says
everything that decides a result: two runs with equal recipes, data and software see the same batches and draw the
same prefixes. Sources in the comments: "paper" is AIMv2 (arXiv 2411.14402), "released code" is Apple's public
inference and training code, "our choice" is ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from aimv2_lab.fields import build, check_interval, check_multiple, check_range, leaves, merged, unknown_name

RECIPE_FIELD = "recipe field"  # what error messages call a field

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

EncoderAttention = Literal["prefix", "causal", "bidirectional"]


@dataclass(frozen=True)
class EncoderRecipe:
    """The vision encoder: a pre-norm ViT with RMSNorm and SwiGLU, no biases but the patch projection's.

    Source: released code; widths and depths from paper, Table 1.
    """

    image_size: int
    width: int
    depth: int
    heads: int
    hidden: int  # SwiGLU hidden width
    patch_size: int = 14
    positions: Literal["learned", "sincos"] = "learned"
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        check_multiple("encoder.image_size", self.image_size, "encoder.patch_size", self.patch_size)
        check_multiple("encoder.width", self.width, "encoder.heads", self.heads)
        check_range("encoder.depth", self.depth, 1)
        check_range("encoder.hidden", self.hidden, 1)
        if self.positions == "sincos":
            check_multiple("encoder.width", self.width, "sine-cosine waves per frequency", 4)

    @property
    def grid_size(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size

    @property
    def patches(self) -> int:
        """I, the patches of one image."""
        return self.grid_size**2

    @property
    def patch_values(self) -> int:
        """K, the numbers in one patch: rows x columns x 3 channels."""
        return self.patch_size**2 * 3


@dataclass(frozen=True)
class DecoderRecipe:
    """The causal multimodal decoder over projected image features, a start vector and the caption.

    Source: width 1024 and depth 12 for every encoder size, vocabulary and 77 text tokens from the paper (section 2.2,
    ablations of Table 9); heads, hidden width, text positions from the released training code.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    vocabulary: int = 32_000
    text_tokens: int = 77
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        check_multiple("decoder.width", self.width, "decoder.heads", self.heads)
        for name, least in (("depth", 1), ("hidden", 1), ("vocabulary", 2), ("text_tokens", 2)):
            check_range(f"decoder.{name}", getattr(self, name), least)


@dataclass(frozen=True)
class ObjectiveRecipe:
    """What is predicted and how it is weighed: total = text + pixel_weight * pixel (paper, section 2.1).

    `encoder_attention` other than "prefix" is for ablations: "causal" has no prefix, "bidirectional" hides nothing
    from the encoder, so that no pixel prediction may count and only the caption is learned.
    """

    pixel_weight: float = 0.4
    encoder_attention: EncoderAttention = "prefix"


@dataclass(frozen=True)
class DataRecipe:
    """Where pairs come from and what is done to them (paper, Table A1; normalisation: CLIP's, as the released
    checkpoints' processors have it; Apple's training configuration has ImageNet's).

    `source` is `world:PRESET` for the generated world, else a folder, a file or a hub name. `tokenizer` is "world",
    "captions" (a byte-level BPE trained on this run's captions), a folder, or a hub name.
    """

    source: str = ""
    tokenizer: str = "google/siglip-base-patch16-224"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    crop_scale: tuple[float, float] = (0.4, 1.0)
    crop_ratio: tuple[float, float] = (0.75, 1.33)
    flip_probability: float = 0.5
    image_column: str = ""  # empty: found by its usual names
    caption_column: str = ""
    validation_share: float = 0.02  # held out by hash of the key where the source has no validation split
    damage_limit: float = 0.01  # share of samples that may be replaced before the run stops; our choice
    workers: int = 0

    def __post_init__(self) -> None:
        check_interval("data.crop_scale", self.crop_scale, 1.0)
        check_interval("data.crop_ratio", self.crop_ratio)
        for deviation in self.std:
            check_range("data.std", deviation, 1e-6)
        for name in ("flip_probability", "validation_share", "damage_limit"):
            check_range(f"data.{name}", getattr(self, name), 0.0, 1.0)
        check_range("data.workers", self.workers, 0)


@dataclass(frozen=True)
class TrainingRecipe:
    """Optimisation (paper, Table A1; Adam's eps and the warm-up's start from the released training code)."""

    steps: int = 1_500_000
    batch_size: int = 8192
    micro_batch_size: int = 128
    peak_lr: float = 1e-3
    min_lr: float = 1e-5
    warmup_steps: int = 12_500
    warmup_start_lr: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.95)
    adam_eps: float = 1e-8
    weight_decay: float = 1e-4  # "fully decoupled": multiplied by lr / peak_lr, not by lr
    gradient_clip: float = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    seed: int = 0
    log_every: int = 10
    validate_every: int = 5_000
    validation_batches: int = 8
    checkpoint_every: int = 5_000
    checkpoints_kept: int = 2

    def __post_init__(self) -> None:
        check_multiple("training.batch_size", self.batch_size, "training.micro_batch_size", self.micro_batch_size)
        every = ("log_every", "validate_every", "checkpoint_every", "checkpoints_kept", "validation_batches", "steps")
        for name, least in [(name, 1) for name in every] + [("warmup_steps", 0), ("seed", 0), ("weight_decay", 0)]:
            check_range(f"training.{name}", getattr(self, name), least)
        for name in ("peak_lr", "adam_eps", "gradient_clip"):
            check_range(f"training.{name}", getattr(self, name), 1e-20)


@dataclass(frozen=True)
class Recipe:
    """One run, whole."""

    name: str
    encoder: EncoderRecipe
    decoder: DecoderRecipe
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)

    def to_json(self) -> str:
        """The recipe as readable JSON, every field written out."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> Recipe:
        """Read what `to_json` wrote; an unknown field raises UnknownName, a KeyError, with the nearest names."""
        return build(Recipe, json.loads(text), RECIPE_FIELD)

    def change(self, changes: Mapping[str, Any]) -> Recipe:
        """A copy with fields changed by dotted path, e.g. {"training.steps": 100}.

        Raises UnknownName for an unknown field (with the nearest names), ValueError for values that do not fit.
        """
        return build(Recipe, merged(asdict(self), changes, RECIPE_FIELD), RECIPE_FIELD)


def differences(old: Recipe, new: Recipe) -> dict[str, tuple[Any, Any]]:
    """Dotted path -> (old value, new value) for every field in which two recipes differ."""
    before, after = dict(leaves(asdict(old))), dict(leaves(asdict(new)))
    return {path: (before[path], after[path]) for path in before if before[path] != after[path]}


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


def _published(size: str, image_size: int) -> Recipe:
    """A published size at a published resolution. At 336 and 448 the paper adapts a 224 model (section 2.4), with
    weight decay 0; the other settings of that stage are not published and are left at the pre-training values."""
    width, depth, heads, hidden, peak_lr = _SIZES[size]
    training = TrainingRecipe(peak_lr=peak_lr)
    if image_size != 224:
        training = replace(training, weight_decay=0.0)
    encoder = EncoderRecipe(image_size, width, depth, heads, hidden)
    return Recipe(f"aimv2-{size}-{image_size}", encoder, PAPER_DECODER, training=training)


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

PRESETS: dict[str, Recipe] = {preset.name: preset for preset in (_TINY, _SMALL)} | {
    preset.name: preset for preset in (_published(size, px) for size in _SIZES for px in (224, 336, 448))
}


def recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The named preset, with any fields changed by dotted path: `recipe("tiny", {"training.steps": 100})`.

    Raises UnknownName, a KeyError, for an unknown name or field, with the nearest known ones.
    """
    if name not in PRESETS:
        raise unknown_name("recipe", name, list(PRESETS))
    return PRESETS[name].change(changes) if changes else PRESETS[name]
