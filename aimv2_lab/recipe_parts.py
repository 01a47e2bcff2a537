"""The parts of a recipe: encoder, decoder or head, objective, data and training, each a frozen dataclass.

Sources in the comments: "paper" is AIMv2 (arXiv 2411.14402), "AIM v1" its predecessor (arXiv 2401.08541), "released
code" is Apple's public inference and training code, "our choice" is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from aimv2_lab.fields import check_interval, check_multiple, check_range

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLASSES = "classes"  # the tokenizer of fine-tuning: every text is the name of a class

EncoderAttention = Literal["prefix", "causal", "bidirectional"]
PixelTarget = Literal["standardised", "raw"]
OptimizerName = Literal["adamw", "soap", "muon"]


class _PatchGrid:
    """What follows from the sizes of a picture and of its patches; both encoders' recipes have it."""

    image_size: int
    width: int
    depth: int
    heads: int
    patch_size: int

    def _check_sizes(self) -> None:
        check_multiple("encoder.image_size", self.image_size, "encoder.patch_size", self.patch_size)
        check_multiple("encoder.width", self.width, "encoder.heads", self.heads)
        check_range("encoder.depth", self.depth, 1)

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
class EncoderRecipe(_PatchGrid):
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
        self._check_sizes()
        check_range("encoder.hidden", self.hidden, 1)
        if self.positions == "sincos":
            check_multiple("encoder.width", self.width, "sine-cosine waves per frequency", 4)


@dataclass(frozen=True)
class TrunkRecipe(_PatchGrid):
    """AIM v1's trunk: a pre-norm ViT with LayerNorm, a two-layer MLP and fixed sine-cosine positions.

    Source: AIM v1, Table 1 and its architecture; heads, eps and the norm on patches from the released inference code.
    """

    image_size: int
    width: int
    depth: int
    heads: int
    patch_size: int = 14
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        self._check_sizes()
        check_multiple("encoder.width", self.width, "sine-cosine waves per frequency", 4)

    @property
    def hidden(self) -> int:
        """The MLP's hidden width: four times the trunk's."""
        return 4 * self.width

    @property
    def positions(self) -> Literal["sincos"]:
        """Fixed, so that there is no table to learn."""
        return "sincos"


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
class PixelHeadRecipe:
    """AIM v1's head: MLP blocks on every patch alone, thrown away after training. Depth 0 is a single linear layer.

    Source: AIM v1, its architecture (12 blocks of width 2048 for every trunk); eps from the released training code,
    which has 1e-5 where the released inference code of the trunk has 1e-6.
    """

    width: int = 2048
    depth: int = 12
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        check_range("head.depth", self.depth, 0)
        check_multiple("head.width", self.width, "sine-cosine waves per frequency", 4)


@dataclass(frozen=True)
class ObjectiveRecipe:
    """What is predicted and how it is weighed: total = text + pixel_weight * pixel (paper, section 2.1).

    `encoder_attention` other than "prefix" is for ablations: "causal" has no prefix, "bidirectional" hides nothing
    from the encoder, so that no pixel prediction may count and only the caption is learned. So is `target` "raw": the
    patch's normalised pixels as they are, not standardised patch by patch.
    """

    pixel_weight: float = 0.4
    encoder_attention: EncoderAttention = "prefix"
    target: PixelTarget = "standardised"


@dataclass(frozen=True)
class MixturePart:
    """One of several sources: where its pairs are, its share in whole numbers, its columns and limits, as in
    `DataRecipe`.

    `name` leads the pairs' keys; empty: the name of the folder, file or hub data set.
    """

    source: str
    weight: int = 1
    name: str = ""
    image_column: str = ""
    caption_column: str = ""
    synthetic_column: str = ""
    synthetic_share: float = 0.5
    at_least: tuple[str, ...] = ()
    at_most: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("data.mixture: weight", self.weight, 1)
        check_range("data.mixture: synthetic_share", self.synthetic_share, 0.0, 1.0)


@dataclass(frozen=True)
class DataRecipe:
    """Where pairs come from and what is done to them (paper, Table A1; normalisation: CLIP's, as the released
    checkpoints' processors have it; Apple's training configuration has ImageNet's).

    `source` is `world:PRESET` for the generated world, else a folder, a file or a hub name; `mixture` has several in
    its place (paper, Table 2). `tokenizer` is "world", "captions" (a byte-level BPE trained on this run's captions), a
    folder, or a hub name; empty where no caption is read; "classes" where `caption_column` holds labels, texts or
    whole numbers. Where a pair has both, a visit draws one of its captions
    from `synthetic_column` with probability `synthetic_share`, else one from `caption_column`. `at_least` and `at_most`
    are limits, COLUMN=NUMBER, on the numbers that an index of shards keeps (`launch.index --columns`): pairs outside
    them, or without the number, are left out.
    """

    source: str = ""
    mixture: tuple[MixturePart, ...] = ()
    tokenizer: str = "google/siglip-base-patch16-224"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    crop_scale: tuple[float, float] = (0.4, 1.0)
    crop_ratio: tuple[float, float] = (0.75, 1.33)
    flip_probability: float = 0.5
    image_column: str = ""  # empty: found by its usual names
    caption_column: str = ""
    synthetic_column: str = ""
    synthetic_share: float = 0.5
    at_least: tuple[str, ...] = ()
    at_most: tuple[str, ...] = ()
    validation_share: float = 0.02  # held out by hash of the key where the source has no validation split
    damage_limit: float = 0.01  # share of samples that may be replaced before the run stops; our choice
    workers: int = 0

    def __post_init__(self) -> None:
        check_interval("data.crop_scale", self.crop_scale, 1.0)
        check_interval("data.crop_ratio", self.crop_ratio)
        for deviation in self.std:
            check_range("data.std", deviation, 1e-6)
        for name in ("flip_probability", "synthetic_share", "validation_share", "damage_limit"):
            check_range(f"data.{name}", getattr(self, name), 0.0, 1.0)
        check_range("data.workers", self.workers, 0)
        own = (self.image_column, self.caption_column, self.synthetic_column, self.at_least, self.at_most)
        if self.mixture and any(own):
            raise ValueError("data.mixture has columns and limits of its own: name them in its parts, not beside it")
        if self.source and self.mixture:
            raise ValueError(
                f"data.source = {self.source!r} beside a data.mixture of {len(self.mixture)}: leave one empty"
            )

    @property
    def parts(self) -> tuple[DataRecipe, ...]:
        """This recipe for each source alone, one after the other."""
        names = [field.name for field in fields(MixturePart) if field.name not in ("weight", "name")]
        changes = ({name: getattr(part, name) for name in names} for part in self.mixture)
        return tuple(replace(self, mixture=(), **change) for change in changes) or (self,)


@dataclass(frozen=True)
class TrainingRecipe:
    """Optimisation (paper, Table A1; Adam's eps and the warm-up's start from the released training code).

    `optimizer` "soap" or "muon" has the blocks' matrices preconditioned as wholes, beside AdamW for the rest: our
    choice, for runs whose engine keeps matrices whole. `decay` says what weight_decay is multiplied by at each step:
    "decoupled" by lr / peak_lr (AIMv2), "ordinary" by lr (AIM v1).
    """

    steps: int = 1_500_000
    batch_size: int = 8192
    micro_batch_size: int = 128
    peak_lr: float = 1e-3
    min_lr: float = 1e-5
    warmup_steps: int = 12_500
    warmup_start_lr: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.95)
    adam_eps: float = 1e-8
    optimizer: OptimizerName = "adamw"
    weight_decay: float = 1e-4
    decay: Literal["decoupled", "ordinary"] = "decoupled"
    gradient_clip: float = 1.0
    loss_limit: float = 3.0  # times the median of the losses before; a step beyond it stops the run; our choice
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
        check_range("training.loss_limit", self.loss_limit, 1.0)


@dataclass(frozen=True)
class EngineRecipe:
    """How the step is run, never what is learned: these change results by rounding alone. All are our choice.

    `zero_stage`, `weights`, `offload` and `deepspeed` are for runs under DeepSpeed. `weights` "bfloat16" keeps what is
    computed with in bfloat16 and float32 copies in the optimizer; "float32" keeps float32 alone, which
    `training.precision` may still compute with in bfloat16. `offload` moves the optimizer, or with stage 3 the weights
    too, to the CPU's memory. `deepspeed` names a JSON file of DeepSpeed's own whose further settings are used.
    """

    zero_stage: Literal[0, 1, 2, 3] = 1
    weights: Literal["float32", "bfloat16"] = "float32"
    activation_checkpointing: bool = False  # blocks keep only their input for the backward pass and run twice
    compile: bool = False  # torch.compile, block by block
    offload: Literal["none", "optimizer", "all"] = "none"
    deepspeed: str = ""

    def __post_init__(self) -> None:
        if self.weights == "bfloat16" and self.zero_stage == 0:
            raise ValueError(
                "engine.weights = 'bfloat16' with engine.zero_stage = 0: DeepSpeed counts Adam's steps from 1, and "
                "trains otherwise. Choose engine.zero_stage 1 … 3, or engine.weights float32"
            )
        if self.offload == "all" and self.zero_stage != 3:
            raise ValueError(
                f"engine.offload = 'all' needs engine.zero_stage = 3, not {self.zero_stage}: or 'optimizer'"
            )
        if self.offload == "optimizer" and self.zero_stage == 0:
            raise ValueError("engine.offload = 'optimizer' needs engine.zero_stage 1 … 3: stage 0 shards nothing")
