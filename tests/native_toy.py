"""A native recipe small enough for exact tests, and pictures of many sizes for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.data.native.dataset import NativeDataset
from aimv2_lab.data.records import Pair
from aimv2_lab.recipes import Recipe
from tests.data.generated import Bytes, ListSource, encoded, picture
from tests.training.finetune_toy import TUNING
from tests.training.toy import SMALL

# C = 16 pictures x 9 patches = 144 patches a step: areas from 4 to 32 patches, 36 to 4 pictures.
NATIVE = SMALL.change(
    {
        "encoder.image_size": 24,
        "encoder.patch_size": 8,
        "decoder.vocabulary": 256,
        "training.batch_size": 16,
        "training.micro_batch_size": 4,
        "resolution.batching": "padded",
        "resolution.area_exponents": (2.0, 5.0),
    }
)


def many_sizes(changes: Mapping[str, Any] | None = None) -> Recipe:
    """NATIVE on crops of every ratio from 1 : 3 to 3 : 1 of the generated world, in six steps."""
    crops = {"data.crop_scale": (0.5, 1.0), "data.crop_ratio": (1 / 3, 3.0)}
    return NATIVE.change({**TUNING, **crops, "training.micro_batch_size": 4, **(changes or {})})


class ManySizes(ListSource):
    """Pairs whose pictures have every ratio from 1 : 3 to 3 : 1."""

    def __getitem__(self, index: int) -> Pair:
        pair = super().__getitem__(index)
        width, height = 16 + 7 * (index * 5 % 8), 16 + 7 * (index * 3 % 8)
        return pair if pair.image == b"" else Pair(pair.key, encoded(picture(index, width, height)), pair.captions)


def native_dataset(
    changes: Mapping[str, Any] | None = None, length: int = 90, training: bool = True, **source: Any
) -> NativeDataset:
    """A dataset of such pictures under NATIVE with some fields changed."""
    known: Recipe = NATIVE.change(changes or {})
    return NativeDataset(MixedSource([ManySizes(length, **source)]), Bytes(), known, training)
