"""The encoders' parts of a recipe: AIMv2's vision encoder and AIM v1's trunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aimv2_lab.fields import check_multiple, check_range


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
