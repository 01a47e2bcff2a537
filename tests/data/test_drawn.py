"""What is drawn stays what it was: a run resumed with a later version must go on with the same samples.

Whole numbers alone are compared, which are the same on every machine: places, boxes of crops, flips, texts, prefixes,
replacements, and pixels where nothing is enlarged or shrunk.
"""

import hashlib
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aimv2_lab.data import transforms
from aimv2_lab.data.batches import PairDataset
from aimv2_lab.data.images import decode_pixels
from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.data.order import ORDER_VERSION
from aimv2_lab.data.records import Pair
from aimv2_lab.recipes import recipe
from tests.data.generated import Bytes, ListSource

# One for every version of the order. They may be added to, never changed.
DIGESTS = {1: "c6ac9e741add68ae"}
SIZE = 16
PARTS = [{"source": "many", "weight": 3}, {"source": "few", "weight": 2, "synthetic_share": 0.3}]


def ramp(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Redder to the right, greener downwards."""
    across, down = np.meshgrid(np.arange(width) * 255 // width, np.arange(height) * 255 // height)
    return Image.fromarray(np.stack([across, down, across ^ down], axis=-1).astype(np.uint8)).convert(mode)


class Ramps(ListSource):
    """Pictures of different sizes whose colours tell which part of them is seen, and whether it was turned."""

    square = False

    def __getitem__(self, index: int) -> Pair:
        pair = super().__getitem__(index)
        size = (SIZE, SIZE) if self.square else (40 + index, 70 - index)
        return replace(pair, image=ramp(*size)) if pair.image else pair


def sources(square: bool) -> MixedSource:
    many = Ramps(30, damaged=[3, 4, 21], mute=[7], shards=[1] * 30, name="many")
    few = Ramps(7, dotted=[2], name="few", synthetic=True)
    many.square = few.square = square
    return MixedSource((many, few), (3, 2), ("many", "few"))


def samples(square: bool, training: bool, **changes: Any) -> list[list[Any]]:
    """All that 120 positions, several epochs, hold; the picture is left out but for whether it was turned."""
    small = {"encoder.image_size": SIZE, "encoder.patch_size": 4, "data.flip_probability": 0.5, "training.seed": 5}
    plan = recipe("tiny", small | {"data.source": "", "data.mixture": PARTS} | changes)
    data = PairDataset(sources(square), Bytes(), plan, training)
    found = []
    for position in range(120):
        sample = data[position]
        levels = sample.picture.float()
        seen = levels.tolist() if square else bool(levels[0, :, 0].mean() > levels[0, :, -1].mean())
        replaced = [(lost.position, lost.key, lost.reason, lost.used_key, lost.source) for lost in sample.replaced]
        found.append([sample.key, sample.prefix_length, sample.tokens.tolist(), replaced, seen])
    return found


def decoded() -> list[Any]:
    """Pixels of files that lose nothing, of every kind that is converted."""
    found = []
    pictures = [ramp(24, 20, mode) for mode in ("RGB", "L", "RGBA", "CMYK")]
    pictures[2].putalpha(ramp(24, 20, "L"))
    pictures.append(Image.frombytes("P", (16, 16), bytes(range(256))))
    pictures[-1].putpalette(bytes(range(256)) * 3)
    pictures.append(Image.frombytes("I;16", (16, 8), bytes(range(256))))
    for picture in pictures:
        file = io.BytesIO()
        picture.save(file, "TIFF" if picture.mode == "CMYK" else "PNG")
        found.append(decode_pixels(file.getvalue(), picture.mode).tolist())
    return found


def test_what_is_drawn_stays_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[tuple[int, int, int, int]] = []
    draw = transforms.random_resized_crop_box

    def noted(*arguments: Any) -> tuple[int, int, int, int]:
        boxes.append(draw(*arguments))
        return boxes[-1]

    monkeypatch.setattr(transforms, "random_resized_crop_box", noted)
    crops = {"data.crop_scale": (0.4, 1.0), "data.crop_ratio": (0.75, 1.33)}
    whole = {"data.crop_scale": (1.0, 1.0), "data.crop_ratio": (1.0, 1.0)}
    drawn = [samples(False, True, **crops), samples(True, True, **whole), samples(True, False), decoded()]
    text = json.dumps([*drawn, boxes])
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert DIGESTS.get(ORDER_VERSION) == digest, (
        "the same recipe and seed now give other samples: if that is meant, raise ORDER_VERSION in "
        f"aimv2_lab/data/order.py, so that older runs refuse to resume, and add its digest here: {digest!r}"
    )


def test_every_version_has_a_digest_of_its_own() -> None:
    assert list(DIGESTS) == list(range(1, ORDER_VERSION + 1))
    assert len(set(DIGESTS.values())) == len(DIGESTS)
