"""The named presets: the one dial of the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, overload

from aimv2_lab.fields import unknown_name
from aimv2_lab.recipes.data import IMAGENET_MEAN, IMAGENET_STD, DataRecipe
from aimv2_lab.recipes.decoder import DecoderRecipe, PixelHeadRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.kinds import PretrainingRecipe
from aimv2_lab.recipes.pretraining import AIMv1Recipe, Recipe
from aimv2_lab.recipes.published import AIMV1_SIZES, SIZES, published, published_aimv1, published_native
from aimv2_lab.recipes.resolution import ResolutionRecipe
from aimv2_lab.recipes.training import TrainingRecipe

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
# Adapts a trained tiny to pictures of twice the side in a minute, without decay as the paper does: launch.adapt. All
# numbers are our choice.
_TINY_96 = replace(
    _TINY,
    name="tiny-96",
    encoder=replace(_TINY.encoder, image_size=96),
    training=replace(
        _TINY.training, steps=150, warmup_steps=20, weight_decay=0.0, validate_every=50, checkpoint_every=75
    ),
)
# The same at native resolution: 8 to 32 patches a picture, 64 to 16 pictures a step, 512 patches as tiny has, whose
# pictures are the middle ones. Our choice.
_TINY_NATIVE = replace(
    _TINY, name="tiny-native", resolution=ResolutionRecipe(batching="padded", area_exponents=(3.0, 5.0))
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
# AIM v1 beside tiny: the same pictures, no captions. All sizes and rates are our choice.
_AIM_TINY = AIMv1Recipe(
    name="aim-tiny",
    encoder=TrunkRecipe(image_size=48, patch_size=12, width=128, depth=4, heads=4),
    head=PixelHeadRecipe(width=128, depth=4),
    data=replace(_TINY.data, tokenizer="", mean=IMAGENET_MEAN, std=IMAGENET_STD),
    training=replace(_TINY.training, steps=1600, min_lr=0.0, weight_decay=0.05, decay="ordinary"),
)
_SHOWN_FIRST: tuple[PretrainingRecipe, ...] = (_TINY, _TINY_96, _TINY_NATIVE, _SMALL, _AIM_TINY)
PRESETS: dict[str, PretrainingRecipe] = (
    {preset.name: preset for preset in _SHOWN_FIRST}
    | {preset.name: preset for preset in (published(size, px) for size in SIZES for px in (224, 336, 448))}
    | {preset.name: preset for preset in [published_native("large")]}
    | {preset.name: preset for preset in map(published_aimv1, AIMV1_SIZES)}
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
