"""How large the pictures of a run are: one size, or another area at every step (native resolution)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aimv2_lab.fields import check_range
from aimv2_lab.recipes.decoder import ObjectiveRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe
from aimv2_lab.recipes.training import TrainingRecipe

Batching = Literal["fixed", "padded", "packed"]


@dataclass(frozen=True)
class ResolutionRecipe:
    """Pictures of encoder.image_size ("fixed"), or native resolution: each step draws an area of A patches, and its
    pictures are fitted inside with their aspect ratio kept.

    A is 2 to the n, rounded, with n from a standard normal cut at ±1 and mapped to `area_exponents` (paper, section
    2.4). A step has floor(C / A) pictures, where C, not published, is here what the same recipe has at a fixed size:
    training.batch_size times the patches of encoder.image_size. "padded" has a picture in every row, as the paper does,
    "packed" several: they are equal in loss. `padding` "masked" keeps it out of attention, features and loss, which is
    our choice; "seen" has the paper's zeros up to A, attended to, predicted and counted as any patch is.
    """

    batching: Batching = "fixed"
    area_exponents: tuple[float, float] = (7.0, 12.0)
    padding: Literal["masked", "seen"] = "masked"

    def __post_init__(self) -> None:
        least, most = self.area_exponents
        check_range("resolution.area_exponents[0]", least, 2.0)  # a prefix and a patch behind it, at any aspect ratio
        check_range("resolution.area_exponents[1]", most, least, 20.0)
        if self.batching == "packed" and self.padding == "seen":
            raise ValueError(
                "resolution.padding = 'seen' with resolution.batching = 'packed', which has no padding to see: choose "
                "padded"
            )

    @property
    def native(self) -> bool:
        """Whether the pictures' sizes differ from step to step."""
        return self.batching != "fixed"


def check_native(
    resolution: ResolutionRecipe,
    encoder: EncoderRecipe,
    training: TrainingRecipe,
    objective: ObjectiveRecipe,
) -> None:
    """Raise ValueError for a native recipe with a table of positions, with what only ablations at a fixed size have, or
    with micro-batches that cannot hold a picture of the largest area."""
    if not resolution.native:
        return
    if encoder.positions != "sincos":
        raise ValueError(
            f"resolution.batching = {resolution.batching!r} with encoder.positions = {encoder.positions!r}: a table "
            "has the positions of one size. Choose encoder.positions sincos"
        )
    for name, value, plain in (
        ("objective.parallel_share", objective.parallel_share, 0.0),
        ("objective.patch_order", objective.patch_order, "raster"),
    ):
        if value != plain:
            raise ValueError(
                f"{name} = {value!r} with resolution.batching = {resolution.batching!r}: that is for pictures of one "
                f"size. Leave it {plain!r}, or choose resolution.batching fixed"
            )
    held, needed = training.micro_batch_size * encoder.patches, round(2 ** resolution.area_exponents[1])
    if held < needed:
        raise ValueError(
            f"training.micro_batch_size = {training.micro_batch_size} pictures of {encoder.patches} patches are {held} "
            f"patches, fewer than the {needed} of one picture at resolution.area_exponents[1] = "
            f"{resolution.area_exponents[1]}: choose at least {-(-needed // encoder.patches)}"
        )
