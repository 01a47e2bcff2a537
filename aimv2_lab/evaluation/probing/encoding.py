"""Frozen features of any layer, or of several layers' mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Literal, overload

import torch
from torch import Tensor

from aimv2_lab.data.transforms import PixelScale, normalise
from aimv2_lab.evaluation.padded import Padded
from aimv2_lab.model.encoder import VisionEncoder


@dataclass(frozen=True)
class Frozen:
    """What is read of an encoder: the mean of `layers`, each normed or not, all patches or their mean.

    `layers` count as in `VisionEncoder.hidden_states`, below zero from the end; empty: the last. Raises ValueError for
    one that is not there, or is there twice.
    """

    encoder: VisionEncoder
    scale: PixelScale
    layers: tuple[int, ...] = ()
    normed: bool = True
    pooled: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        depth = len(self.encoder.blocks)
        if wrong := [layer for layer in self.layers if not -depth - 1 <= layer <= depth]:
            raise ValueError(f"layers = {wrong}: this encoder has 0 (what enters the first block) … {depth}")
        if len(set(self.numbers)) < len(self.numbers):
            raise ValueError(f"layers = {self.layers} names one twice")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The layers, counted from 0, in ascending order."""
        length = len(self.encoder.blocks) + 1
        return tuple(sorted(layer % length for layer in self.layers or (-1,)))

    @cached_property
    def digest(self) -> str:
        """Of the encoder as it is when this is first asked for: reading gigabytes takes seconds."""
        return encoder_digest(self.encoder)

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return next(self.encoder.parameters()).device

    @overload
    def __call__(self, pictures: Tensor) -> Tensor: ...
    @overload
    def __call__(self, pictures: Sequence[Tensor]) -> Tensor | Padded: ...
    @torch.no_grad()
    def __call__(self, pictures: Tensor | Sequence[Tensor]) -> Tensor | Padded:
        """Features (B, I, D), or (B, D) where pooled, in float32, of 8-bit pictures (B, 3, height, width).

        Of a list of pictures (3, height, width), each of its own size in whole patches, they are padded, and equal to
        those of one after the other. Raises what the encoder's `forward` does.
        """
        if not isinstance(pictures, Tensor):
            return self._of_many_sizes([self._image(picture) for picture in pictures])
        with self._cast():
            features = self._mean(self.encoder.residual_stream(self._image(pictures))).float()
        return features.mean(dim=1) if self.pooled else features

    def _image(self, pictures: Tensor) -> Tensor:
        return normalise(pictures.to(self.device, non_blocking=True), self.scale)

    def _of_many_sizes(self, images: Sequence[Tensor]) -> Tensor | Padded:
        counts = [image[0].numel() // self.encoder.recipe.patch_size**2 for image in images]
        found = dict[int, Tensor]()
        with self._cast():
            for group, streams in self.encoder.residual_streams(images):
                for number, features in zip(group, self._mean(streams).float(), strict=True):
                    own = features[: counts[number]]
                    found[number] = own.mean(dim=0) if self.pooled else own
        in_order = [found[number] for number in range(len(images))]
        if self.pooled:
            return torch.stack(in_order)
        return Padded.of(torch.cat(in_order), torch.tensor(counts, device=self.device))

    def _mean(self, streams: Iterator[Tensor]) -> Tensor:
        total: Tensor | None = None
        for number, stream in enumerate(islice(streams, self.numbers[-1] + 1)):
            if number in self.numbers:
                one = self.encoder.norm(stream) if self.normed else stream
                total = one if total is None else total + one
        assert total is not None
        return total / len(self.numbers) if len(self.numbers) > 1 else total

    def _cast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def about(self) -> dict[str, object]:
        """Everything here that decides what the features are, for the record of a cache."""
        return {
            "encoder": self.digest,
            "scale": [list(values) for values in self.scale],
            "layers": list(self.numbers),
            "normed": self.normed,
            "pooled": self.pooled,
            "precision": self.precision,
        }


def encoder_digest(encoder: VisionEncoder) -> str:
    """Hex digest of an encoder's kind, sizes and weights; a pooling head's weights are not among them."""
    digest = blake2b(f"{type(encoder).__name__} {encoder.recipe}".encode(), digest_size=16)
    for name, weight in sorted(encoder.state_dict().items()):
        if not name.startswith("head."):
            digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
            digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
