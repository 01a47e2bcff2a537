"""What stands behind the encoder: AIMv2's decoder, AIM v1's head, and what they are to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aimv2_lab.fields import check_multiple, check_range

EncoderAttention = Literal["prefix", "causal", "bidirectional"]
PixelTarget = Literal["standardised", "raw", "none"]
PatchOrder = Literal["raster", "spiral", "checkerboard", "random"]


@dataclass(frozen=True)
class DecoderRecipe:
    """The causal multimodal decoder over projected image features, a start vector and the caption.

    Source: width 1024 and depth 12 for every encoder size, vocabulary and 77 text tokens from the paper (section 2.2,
    ablations of Table 9); heads, hidden width, text positions from the released training code. With `text_tokens` 0 no
    caption is read, and the decoder has nothing that captions need (image-only of Table 9a). With `separate` there are
    two alike, one for pixels and one for captions (Table 9d); both read the encoder's features.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    vocabulary: int = 32_000
    text_tokens: int = 77
    norm_eps: float = 1e-5
    separate: bool = False

    def __post_init__(self) -> None:
        check_multiple("decoder.width", self.width, "decoder.heads", self.heads)
        least_tokens = 2 if self.text_tokens else 0
        for name, least in (("depth", 1), ("hidden", 1), ("vocabulary", 2), ("text_tokens", least_tokens)):
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
    patch's normalised pixels as they are, not standardised patch by patch. With `target` "none" there is no pixel head,
    and captions alone are learned (caption-only of Table 9a); pixel_weight is then 0. `patch_order` other than "raster"
    is for AIM v1's ablation of the order in which patches are predicted, which is also the one that causal attention
    follows.

    `parallel_share` is CapPa's (arXiv 2306.07915; 0.75 in its released configuration): the probability with which a
    caption is predicted in training from the picture alone, all tokens at once.
    """

    pixel_weight: float = 0.4
    encoder_attention: EncoderAttention = "prefix"
    target: PixelTarget = "standardised"
    parallel_share: float = 0.0
    patch_order: PatchOrder = "raster"

    def __post_init__(self) -> None:
        check_range("objective.parallel_share", self.parallel_share, 0.0, 1.0)
        if self.target == "none" and self.pixel_weight:
            raise ValueError(
                f"objective.pixel_weight = {self.pixel_weight} with objective.target = 'none', which predicts no "
                "pixels: set the weight 0, or another target"
            )
        if self.parallel_share and self.target != "none":
            raise ValueError(
                f"objective.parallel_share = {self.parallel_share} is for runs that learn captions alone: set "
                "objective.target none and objective.pixel_weight 0, or the share 0"
            )
