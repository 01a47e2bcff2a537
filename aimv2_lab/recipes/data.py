"""Where the pairs of a run come from and how its pictures are seen."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from aimv2_lab.fields import check_interval, check_range

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLASSES = "classes"  # the tokenizer of fine-tuning: every text is the name of a class


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
