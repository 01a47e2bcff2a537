"""JPEG decoders and resizers, from bytes to a 224 px picture: speed, and how far their pixels are from Pillow's.

    python -m benchmarks.decoders [--pictures 200] [--rounds 7]

One process, one thread, interleaved rounds, the same random crops for all. Others than Pillow take part where they are
installed (simplejpeg, opencv-python-headless); none of them is a dependency.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from PIL import Image

from aimv2_lab.data.images import decode_image
from aimv2_lab.data.transforms import random_resized_crop_box
from benchmarks.data import SIZE, write_pictures

Box = tuple[int, int, int, int]
Decoder = Callable[[bytes, Box], np.ndarray]  # (224, 224, 3) uint8


def pillow(content: bytes, box: Box) -> np.ndarray:
    """Antialiased bicubic, as evaluation has it."""
    return np.asarray(decode_image(content, "").resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box))


def simplejpeg_torch(content: bytes, box: Box) -> np.ndarray:
    """What training uses: libjpeg-turbo, then torch's antialiased bicubic on 8-bit integers."""
    left, top, right, bottom = box
    cut: Any = import_module("simplejpeg").decode_jpeg(content)[top:bottom, left:right]
    pixels = torch.from_numpy(np.ascontiguousarray(cut)).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(pixels, (SIZE, SIZE), mode="bicubic", antialias=True)
    return small[0].permute(1, 2, 0).numpy()


def opencv(content: bytes, box: Box, area: bool = False) -> np.ndarray:
    """OpenCV's cubic, which does not antialias, or its area mean, which is no bicubic."""
    cv: Any = import_module("cv2")
    left, top, right, bottom = box
    pixels = cv.imdecode(np.frombuffer(content, np.uint8), cv.IMREAD_COLOR_RGB)[top:bottom, left:right]
    found: np.ndarray = cv.resize(pixels, (SIZE, SIZE), interpolation=cv.INTER_AREA if area else cv.INTER_CUBIC)
    return found


DECODERS: dict[str, tuple[str, Decoder]] = {
    "Pillow": ("PIL", pillow),
    "simplejpeg and torch": ("simplejpeg", simplejpeg_torch),
    "OpenCV, cubic": ("cv2", opencv),
    "OpenCV, area": ("cv2", lambda content, box: opencv(content, box, area=True)),
}


def main(pictures: int = 200, rounds: int = 7) -> None:
    """Print rates, ratios within rounds, and differences in levels of 255."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder, "pictures"), pictures)
        contents = [file.read_bytes() for file in sorted(Path(folder, "pictures").glob("*.jpg"))]
    draws = np.random.default_rng(0)
    sizes = [Image.open(io.BytesIO(content)).size for content in contents]
    boxes = [random_resized_crop_box(*size, (0.4, 1.0), (0.75, 1.33), draws) for size in sizes]
    present = {name: decode for name, (module, decode) in DECODERS.items() if find_spec(module)}
    seconds: dict[str, list[float]] = {name: [] for name in present}
    for number in range(rounds + 1):
        for name, decode in present.items():
            started = time.process_time()
            for content, box in zip(contents, boxes, strict=True):
                decode(content, box)
            if number:  # the first round warms up
                seconds[name].append(time.process_time() - started)
    true = [pillow(content, box).astype(int) for content, box in zip(contents, boxes, strict=True)]
    for name, found in seconds.items():
        speedup = statistics.median(base / own for base, own in zip(seconds["Pillow"], found, strict=True))
        views = (present[name](content, box) for content, box in zip(contents, boxes, strict=True))
        apart = [np.abs(view.astype(int) - theirs) for view, theirs in zip(views, true, strict=True)]
        mean, most = np.mean([a.mean() for a in apart]), max(a.max() for a in apart)
        rate = len(contents) / statistics.median(found)
        print(f"{name:22} {rate:7.1f} pictures/s  {speedup:.2f} of Pillow  mean difference {mean:.2f}, largest {most}")


if __name__ == "__main__":
    tyro.cli(main)
