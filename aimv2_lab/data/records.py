"""The one record type of every data source, and what a source must offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Pair:
    """One picture with its captions, before any decoding or augmentation.

    `key` names the pair within its source and split; `image` is an encoded file or an already decoded picture;
    `captions` and `synthetic` together hold one or more texts, of which training draws one per visit; none where the
    recipe reads no text. Synthetic ones were written by a model that saw the picture.
    """

    key: str
    image: bytes | Image.Image
    captions: tuple[str, ...]
    synthetic: tuple[str, ...] = ()


class Source(Protocol):
    """A map-style collection of pairs: any index, any order, the same pair every time."""

    @property
    def name(self) -> str:
        """Short readable name, for run folders and messages."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes when the pairs' names, number, order or sizes do; a run resumes on an equal one."""
        ...

    @property
    def shards(self) -> Sequence[int] | np.ndarray:
        """How many pairs each of its files holds, in order; one number where reading any pair costs the same."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pair: ...
