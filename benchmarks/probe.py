"""What probing costs beside what it cannot do without.

    python -m benchmarks.probe [--pictures 300] [--size base] [--batch-size 512] [--rounds 3] [--device cuda]

Ratios of medians over rounds that take turns, after one that is not counted. Encoding: JPEGs on disk to features on
disk over the encoder's forward pass alone on pictures that are there already, on the same thread (`--workers` decode
beside it). Grid: a training step of all 14 cells over that of one, each reading its batch from a mapped file (of
noise), and over that of `AttentiveProbe`, whose keys and values are computed, under torch's AdamW. Whole probes: what
encoding and all epochs cost by these seconds, with 14 cells over with one. On the CPU seconds are the processor's, so
that what else runs on the machine does not count, and `--workers` must be 0; on a GPU they are the clock's.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from PIL import Image
from torch.nn import functional

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.records import Pair
from aimv2_lab.data.transforms import pixel_scale
from aimv2_lab.evaluation.probe import AttentiveProbe
from aimv2_lab.evaluation.probing.cache import CachedFeatures, cached_features
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.epochs import CachedEpochs
from aimv2_lab.evaluation.probing.pictures import ClassLabels, LabelledPictures
from aimv2_lab.evaluation.probing.training import new_grid, train_grid
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe, recipe
from aimv2_lab.recipes.data import CLIP_MEAN, CLIP_STD
from aimv2_lab.recipes.probing import ProbeRecipe

Size = Literal["tiny", "base", "large"]
ENCODERS: dict[Size, EncoderRecipe] = {
    "tiny": recipe("tiny").encoder,
    "base": EncoderRecipe(image_size=224, width=768, depth=12, heads=6, hidden=2048),
    "large": recipe("aimv2-large-224").encoder,
}


class Files:
    """JPEGs of noise on smooth ground, a little larger than the encoder's pictures, labelled by turns; a `Source`."""

    name, fingerprint = "files", "benchmark"

    def __init__(self, folder: Path, pictures: int, size: int, classes: int) -> None:
        self.folder, self.classes, self.shards = folder, classes, (pictures,)
        draws = np.random.default_rng(0)
        for number in range(pictures):
            ground = draws.uniform(0, 255, (8, 10, 3)).astype(np.uint8)
            image = Image.fromarray(ground).resize((size * 5 // 4, size * 9 // 8), Image.Resampling.BICUBIC)
            noisy = np.asarray(image) + draws.normal(0, 8, (image.height, image.width, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)

    def __len__(self) -> int:
        return self.shards[0]

    def __getitem__(self, index: int) -> Pair:
        return Pair(str(index), (self.folder / f"{index}.jpg").read_bytes(), (str(index % self.classes),))


def main(
    pictures: int = 300,
    size: Size = "base",
    batch_size: int = 512,
    encoder_batch: int = 16,
    classes: int = 100,
    rounds: int = 3,
    steps: int = 2,
    workers: int = 0,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: str = "cpu",
) -> None:
    """Measure, and print the seconds and their ratios."""
    torch.set_num_threads(1)
    where, chosen = torch.device(device), ENCODERS[size]
    seen = Preprocessing(CLIP_MEAN, CLIP_STD, chosen.image_size, chosen.image_size)
    frozen = Frozen(VisionEncoder(chosen).eval().to(where), pixel_scale(seen), precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        source = Files(Path(folder), pictures, chosen.image_size, classes)
        labelled = LabelledPictures(source, ClassLabels(tuple(map(str, range(classes)))), seen)
        numbers = iter(range(10**6))

        def encode() -> CachedFeatures:
            place = Path(folder) / f"features-{next(numbers)}"
            return cached_features(place, frozen, labelled, encoder_batch, workers)

        forward = _forward(frozen, labelled, encoder_batch)
        print(f"{size}, {pictures} pictures of {chosen.image_size}, {precision}, {_machine(where)}")
        alone, whole = _turns([forward, encode], rounds, where)
        print(
            f"forward alone {alone:.2f} s, files to features {whole:.2f} s: {whole / alone:.3f} x, at most 1.1 wanted"
        )
        table = _noise(Path(folder) / "noise.npy", 2 * batch_size, chosen, classes)
        grid, one, plain = _turns(_trainings(table, chosen, classes, batch_size, steps, where), rounds, where)
        print(f"a step of {batch_size} pictures: 14 cells {grid / steps:.3f} s, one cell {one / steps:.3f} s")
        print(
            f"14 cells over one: {grid / one:.2f} x; over the plain probe, {plain / steps:.3f} s: {grid / plain:.2f} x"
        )
        encoding, trained = whole / pictures, [each / steps / batch_size for each in (grid, one)]
        for name, epochs in (("encoded once", ProbeRecipe.epochs), ("encoded anew in every epoch", 1)):
            ratio = (encoding + epochs * trained[0]) / (encoding + epochs * trained[1])
            print(f"whole probes, pictures {name}, {ProbeRecipe.epochs} epochs: 14 cells over one {ratio:.2f} x")


def _forward(frozen: Frozen, labelled: LabelledPictures, batch: int) -> Callable[[], object]:
    """The encoder's forward pass over all pictures, which are on its device and normalised already."""
    whole = [labelled[index].picture for index in range(len(labelled))]
    decoded = torch.stack([picture for picture in whole if picture is not None]).to(frozen.device)
    images = [(part.float() / 255 - 0.5) / 0.25 for part in decoded.split(batch)]

    @torch.no_grad()
    def run() -> None:
        with torch.autocast(frozen.device.type, torch.bfloat16, enabled=frozen.precision == "bfloat16"):
            for part in images:
                frozen.encoder(part)

    return run


def _noise(file: Path, pictures: int, chosen: EncoderRecipe, classes: int) -> CachedFeatures:
    """As many features as wanted, mapped from a file as an encoder's are."""
    draws = np.random.default_rng(0)
    table = np.lib.format.open_memmap(file, "w+", np.float16, (pictures, chosen.patches, chosen.width))
    for row in range(pictures):
        table[row] = draws.standard_normal(table.shape[1:], np.float32)
    table.flush()
    return CachedFeatures(np.load(file, mmap_mode="r"), torch.arange(pictures)[:, None] % classes, ())


def _trainings(
    cached: CachedFeatures, chosen: EncoderRecipe, classes: int, batch_size: int, steps: int, where: torch.device
) -> list[Callable[[], object]]:
    """Some steps by the grid, by one cell of it, and by the plain probe; they go over the features again and again."""
    whole = ProbeRecipe(batch_size=batch_size, epochs=1)
    one = replace(whole, learning_rates=whole.learning_rates[:1], weight_decays=whole.weight_decays[:1])

    def by_grid(swept: ProbeRecipe) -> Callable[[], object]:
        grid, epochs = new_grid(swept, chosen.width, chosen.heads, [classes], 0), CachedEpochs(cached, swept, 0, where)
        grid.to(where)
        return lambda: [train_grid(grid, swept, epochs.steps, epochs) for _ in range(epochs_run)]

    epochs_run = steps // (len(cached) // batch_size)
    probe = AttentiveProbe(chosen.width, chosen.heads, classes).to(where)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=1e-4)

    def plain() -> None:
        for number in range(epochs_run):
            for features, labels in CachedEpochs(cached, one, 0, where)(number):
                functional.cross_entropy(probe(features), labels[:, 0]).backward()
                torch.nn.utils.clip_grad_norm_(probe.parameters(), one.gradient_clip)
                optimizer.step()
                optimizer.zero_grad()

    return [by_grid(whole), by_grid(one), plain]


def _turns(works: list[Callable[[], object]], rounds: int, where: torch.device) -> list[float]:
    """The median seconds of each, over rounds in which they take turns, after one that is not counted."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, seconds in zip(works, taken, strict=True):
            seconds.append(_seconds(work, where))
    return [statistics.median(seconds[1:]) for seconds in taken]


def _seconds(work: Callable[[], object], where: torch.device) -> float:
    clock = time.perf_counter if where.type == "cuda" else time.process_time
    started = clock()
    work()
    if where.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def _machine(where: torch.device) -> str:
    return torch.cuda.get_device_name(where) if where.type == "cuda" else "one thread of the CPU"


if __name__ == "__main__":
    tyro.cli(main)
