"""An encoder of random weights and labelled pictures, small enough for exact tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.records import Pair
from aimv2_lab.data.transforms import PixelScale
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.pictures import LabelledPictures, Task
from aimv2_lab.lessons.wide import draw_wide_weights
from aimv2_lab.model.encoder import VisionEncoder
from tests.data.generated import ListSource
from tests.native_toy import NATIVE, ManySizes
from tests.training.toy import SMALL

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
SEEN = Preprocessing(MEAN, STD, shortest_side=24, crop=24)
OWN_SIZE = Preprocessing(MEAN, STD, None, None, multiple=8)


class Parity:
    """Whether the number of a pair is even."""

    tasks = (Task("parity", ("even", "odd")),)

    def __call__(self, pair: Pair, index: int) -> Sequence[int]:
        return [int(pair.key.removeprefix("pair-")) % 2]


def encoder(seed: int = 0) -> VisionEncoder:
    """Wide weights: default ones would hide what is left out."""
    made = VisionEncoder(SMALL)
    draw_wide_weights(made, torch.Generator().manual_seed(seed))
    return made.eval()


def frozen(seed: int = 0, **changes: object) -> Frozen:
    """All patches of the last layer, unless changed."""
    return Frozen(encoder(seed), PixelScale(MEAN, STD), **changes)  # type: ignore[arg-type]


def pictures(length: int = 10, damaged: Iterable[int] = ()) -> LabelledPictures:
    """Smooth colours that differ from number to number."""
    return LabelledPictures(ListSource(length, damaged), Parity(), SEEN)


def native(**changes: object) -> Frozen:
    """An encoder of wide weights for patches of 8 pixels, in whatever grid."""
    encoder = VisionEncoder(NATIVE)
    draw_wide_weights(encoder, torch.Generator().manual_seed(0))
    return Frozen(encoder.eval(), PixelScale(MEAN, STD), **changes)  # type: ignore[arg-type]


def many_sizes(length: int = 11, damaged: Sequence[int] = ()) -> LabelledPictures:
    return LabelledPictures(ManySizes(length, damaged), Parity(), OWN_SIZE)
