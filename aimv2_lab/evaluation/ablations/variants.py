"""Everything that is trained for the ablations: each variant once, whatever the tables that it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aimv2_lab.evaluation.ablations.toys import AIM_V1, AIMV2, CAPTION_TOKENS, PROBES
from aimv2_lab.recipes import AIMv1Recipe, PatchOrder, Rival, RivalRecipe, rival
from aimv2_lab.recipes.probing import ProbeKind
from aimv2_lab.training.plan.flops import steps_of_equal_flops

AblatedRecipe = RivalRecipe | AIMv1Recipe
FEW, MANY = 3, 5  # seeds; many for what the bars are about
_CAUSAL = {"objective.encoder_attention": "causal"}
_FINE = {"encoder.patch_size": 4}  # 64 patches a picture, not 16


@dataclass(frozen=True)
class Variant:
    """One thing that is trained under several seeds, and how its encoder is probed; where not `trained`, its first
    weights are."""

    recipe: AblatedRecipe
    seeds: int = FEW
    probes: tuple[ProbeKind, ...] = ("attentive",)
    trained: bool = True

    def seeded(self, seed: int) -> AblatedRecipe:
        """Its recipe with a seed."""
        return replace(self.recipe, training=replace(self.recipe.training, seed=seed))


def _objective(name: Rival, seeds: int = FEW, probes: tuple[ProbeKind, ...] = ("attentive",)) -> Variant:
    return Variant(rival(name, AIMV2), seeds, probes)


def _flops(name: Rival) -> Variant:
    """A rival with as many steps as cost what AIMv2's cost."""
    recipe = rival(name, AIMV2)
    steps = steps_of_equal_flops(recipe, AIMV2, CAPTION_TOKENS)
    return Variant(replace(recipe, training=replace(recipe.training, steps=steps, validate_every=steps)))


def _large_batches(recipe: RivalRecipe) -> Variant:
    """Batches four times as large, and a quarter of the steps: as many pairs."""
    training, times = recipe.training, 4
    size, steps = times * training.batch_size, training.steps // times
    larger = replace(
        training,
        steps=steps,
        batch_size=size,
        micro_batch_size=size,
        warmup_steps=training.warmup_steps // times,
        validate_every=steps,
        validation_batches=training.validation_batches // times,
    )
    return Variant(replace(recipe, training=larger))


def _aimv2(changes: Mapping[str, Any]) -> Variant:
    return Variant(AIMV2.change(changes))


def _aim(changes: Mapping[str, Any]) -> Variant:
    return Variant(AIM_V1.change(changes))


def _ordered(order: PatchOrder) -> Variant:
    return _aim(_CAUSAL | {"objective.patch_order": order})


def _cropped(least: float) -> Variant:
    return _aim({"data.crop_scale": (least, 1.0), "data.crop_ratio": (0.75, 1.33)})


_EVERY = tuple(PROBES)
VARIANTS: Mapping[str, Variant] = {
    "untrained": Variant(AIMV2, MANY, _EVERY, trained=False),
    # Objectives, at equal pairs and at equal FLOPs.
    "aimv2": Variant(AIMV2, MANY, _EVERY),
    "image-only": _objective("image-only", MANY, _EVERY),
    "caption-only": _objective("caption-only", MANY, _EVERY),
    "caption-only-bidirectional": _objective("caption-only-bidirectional", MANY),
    "cappa": _objective("cappa"),
    "clip": _objective("clip"),
    "siglip": _objective("siglip"),
    "masked-image": _objective("masked-image"),
    "image-only-flops": _flops("image-only"),
    "cappa-flops": _flops("cappa"),
    "clip-flops": _flops("clip"),
    "siglip-flops": _flops("siglip"),
    "masked-image-flops": _flops("masked-image"),
    # AIMv2's own dials. Its pixel weight is 0.4, its decoder 96 wide and 2 deep; weight 0 is caption-only.
    "aimv2-large-batches": _large_batches(AIMV2),
    "cappa-large-batches": _large_batches(rival("cappa", AIMV2)),
    "clip-large-batches": _large_batches(rival("clip", AIMV2)),
    "pixel-weight-0.2": _aimv2({"objective.pixel_weight": 0.2}),
    "pixel-weight-0.6": _aimv2({"objective.pixel_weight": 0.6}),
    "pixel-weight-1": _aimv2({"objective.pixel_weight": 1.0}),
    "separate-decoders": _aimv2({"decoder.separate": True}),
    "decoder-width-48": _aimv2({"decoder.width": 48, "decoder.hidden": 128}),
    "decoder-width-144": _aimv2({"decoder.width": 144, "decoder.hidden": 384}),
    "decoder-depth-1": _aimv2({"decoder.depth": 1}),
    "decoder-depth-4": _aimv2({"decoder.depth": 4}),
    "aimv2-causal": Variant(AIMV2.change(_CAUSAL), MANY, _EVERY),
    "aimv2-fine": Variant(AIMV2.change(_FINE), MANY),
    "aimv2-fine-causal": Variant(AIMV2.change(_FINE | _CAUSAL), MANY),
    # AIM v1's. Orders are compared under causal attention, as in the paper.
    "aim": Variant(AIM_V1, MANY, _EVERY),
    "aim-causal": Variant(AIM_V1.change(_CAUSAL), MANY, _EVERY),
    "aim-spiral": _ordered("spiral"),
    "aim-checkerboard": _ordered("checkerboard"),
    "aim-random": _ordered("random"),
    "aim-raw-targets": _aim({"objective.target": "raw"}),
    "aim-no-head": _aim({"head.depth": 0}),
    "aim-deep": _aim({"encoder.width": 64, "encoder.depth": 7, "encoder.heads": 2}),
    "aim-crops-0.4": _cropped(0.4),
    "aim-crops-0.08": _cropped(0.08),
}
