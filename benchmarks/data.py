"""Pictures per second, from files to normalised 224 px tensors: ours beside other loaders, on the same bytes.

    python -m benchmarks.data [--shards FOLDER] [--pictures 1000] [--rounds 7]

One process and one thread, everything in the page cache; rounds are interleaved, so that what else the machine does
falls on all alike. Every loader makes the same view: random crop, flip, normalisation; the others by Pillow, as their
users do, and once more with our decoder and transforms, ours as it trains, and once more without simplejpeg. What our
transforms make is 8-bit and normalised batch by batch, what Pillow makes picture by picture.
`webdataset` takes part, and simplejpeg decodes for ours, where they are installed. Rates are per CPU-second.
"""

from __future__ import annotations

import io
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import tyro
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from aimv2_lab.data import images
from aimv2_lab.data.batches import PairDataset, batches
from aimv2_lab.data.images import decode_pixels
from aimv2_lab.data.mixture import open_mixture
from aimv2_lab.data.order import Place
from aimv2_lab.data.tars.archive import tar_files
from aimv2_lab.data.tars.rows import IndexedRows
from aimv2_lab.data.transforms import normalise, pixel_scale, random_resized_crop_box, training_picture
from aimv2_lab.data.writers import Sample, write_webdataset
from aimv2_lab.recipes import AIMv1Recipe, recipe

SIZE, BATCH = 224, 32
PLAN: AIMv1Recipe = recipe(
    "aim-600m", {"data.validation_share": 0.0, "training.batch_size": BATCH, "training.micro_batch_size": BATCH}
)
Loader = Callable[[], Iterable[Tensor]]
View = Callable[[bytes, np.random.Generator], Tensor]


def our_view(image: bytes, draws: np.random.Generator) -> Tensor:
    """What ours makes of a file: (3, 224, 224) uint8."""
    return training_picture(decode_pixels(image, ""), PLAN.data, SIZE, draws)


def pillow_view(image: bytes, draws: np.random.Generator) -> Tensor:
    """What users of the other loaders make of it: Pillow, and the same crop, flip and normalisation."""
    picture, data = Image.open(io.BytesIO(image)).convert("RGB"), PLAN.data
    box = random_resized_crop_box(*picture.size, data.crop_scale, data.crop_ratio, draws)
    small = picture.crop(box).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    if draws.random() < data.flip_probability:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1).float().div_(255)
    return pixels.sub_(torch.tensor(data.mean)[:, None, None]).div_(torch.tensor(data.std)[:, None, None])


def dataset_of(folder: Path) -> PairDataset:
    """The shards as a run reads them."""
    return PairDataset(open_mixture("train", PLAN.change({"data.source": str(folder)}).data, SIZE), None, PLAN, True)


def as_they_lie(position: int) -> Place:
    """An order that is none: one pair after the other."""
    return Place(0, 0, position, position)


def ours(folder: Path, pictures: int, sequential: bool = False) -> Iterator[Tensor]:
    """Batches in the order of a run, or, to know what that order costs, one pair after the other as they lie."""
    dataset = dataset_of(folder)
    if sequential:
        dataset.order.place = as_they_lie  # type: ignore[method-assign]
    return (batch.pictures for batch in batches(dataset, BATCH, 0, pictures // BATCH, workers=0))


def reading_costs(folder: Path, pictures: int, rounds: int) -> dict[str, float]:
    """Medians of CPU-microseconds a pair for finding and reading it, not decoded, in order and as they lie."""
    dataset, found = dataset_of(folder), dict[str, list[float]]()
    for _ in range(rounds + 1):  # the first one warms up, and is one of many for the median
        for name, place in {"in the order of a run": dataset.order.place, "as they lie": as_they_lie}.items():
            started = time.process_time()
            for position in range(pictures):
                dataset.source.pair(0, place(position).row)
            found.setdefault(name, []).append((time.process_time() - started) / pictures * 1e6)
    return {name: round(statistics.median(costs), 1) for name, costs in found.items()}


def without_simplejpeg(loader: Loader) -> Iterator[Tensor]:
    """What a loader gives where the extra `fast` is not installed."""
    kept, images._simplejpeg = images._simplejpeg, None
    try:
        yield from loader()
    finally:
        images._simplejpeg = kept


def streamed(folder: Path, view: View) -> Iterator[Tensor]:
    """HF datasets, streaming the tars in order."""
    files = sorted(map(str, folder.glob("*.tar")))
    rows: Any = datasets.load_dataset("webdataset", data_files=files, split="train", streaming=True)
    rows, draws = rows.cast_column("jpg", datasets.Image(decode=False)), np.random.default_rng(0)
    return stacked(view(row["jpg"]["bytes"], draws) for row in rows)


def webdataset_tars(folder: Path, view: View) -> Iterator[Tensor]:
    """The webdataset library, the tars in order."""
    import webdataset

    files, draws = sorted(map(str, folder.glob("*.tar"))), np.random.default_rng(0)
    return stacked(view(row["jpg"], draws) for row in webdataset.WebDataset(files, shardshuffle=False))


class Folder(Dataset[Tensor]):
    """Pictures as files of their own."""

    def __init__(self, folder: Path, view: View) -> None:
        self.files, self.view, self.draws = sorted(folder.glob("*.jpg")), view, np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        return self.view(self.files[index].read_bytes(), self.draws)


def folder_loader(folder: Path, view: View) -> Iterable[Tensor]:
    """torch's DataLoader over an image folder, shuffled."""
    return DataLoader(Folder(folder, view), batch_size=BATCH, shuffle=True, drop_last=True)


def decoded(contents: list[bytes]) -> Iterator[Tensor]:
    """The same work on bytes in memory: what decoder and transforms alone can do."""
    draws = np.random.default_rng(0)
    return stacked(our_view(content, draws) for content in contents)


def stacked(views: Iterable[Tensor]) -> Iterator[Tensor]:
    """Batches of single views."""
    views = iter(views)
    while part := list(itertools.islice(views, BATCH)):
        yield torch.stack(part)


def rate(loader: Loader) -> float:
    """Pictures per CPU-second of going through a loader once, and of normalising its batches where they are 8-bit."""
    started, seen = time.process_time(), 0
    for batch in loader():
        seen += len(normalise(batch, pixel_scale(PLAN.data)) if batch.dtype == torch.uint8 else batch)
    return seen / (time.process_time() - started)


def write_pictures(folder: Path, pictures: int) -> None:
    """Generated scenes as photographs come from img2dataset: 512 px on the long side, JPEG quality 90, with grain."""
    from aimv2_lab.data.world import make_scene, render, world_settings

    folder.mkdir(parents=True)
    for index in tqdm(range(pictures), desc="writing pictures", disable=None):
        scene = make_scene(world_settings("rich"), 0, "train", index)
        square = Image.fromarray(render(scene, 512))
        square.crop((0, 64, 512, 448)).save(folder / f"{index:08d}.jpg", quality=90)


def pack(pictures: Path, shards: Path, of: int = 250) -> None:
    """The same files as tars."""
    shards.mkdir(parents=True)
    files = sorted(pictures.glob("*.jpg"))
    for start in range(0, len(files), of):
        part = files[start : start + of]
        write_webdataset(shards, f"{start // of:05d}", (_sample(file) for file in part))


def _sample(file: Path) -> Sample:
    return Sample(file.stem, file.read_bytes(), 512, 384, "a picture", {})


def measure(loaders: dict[str, Loader], rounds: int) -> dict[str, list[float]]:
    """Rates of every loader, round by round; a round before them warms up."""
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for number in tqdm(range(rounds + 1), desc="rounds", disable=None):
        for name, loader in loaders.items():
            found = rate(loader)
            if number:
                rates[name].append(found)
    return rates


def report(rates: dict[str, list[float]], unit: str) -> None:
    """Medians, spread, and medians of the ratios to `unit` within each round."""
    for name, found in rates.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(found, rates[unit], strict=True))
        low, high = min(found), max(found)
        print(f"{name:34} {statistics.median(found):7.1f} pictures/s ({low:.1f} … {high:.1f})   {ratio:.3f} of {unit}")


def main(pictures: int = 1000, rounds: int = 7, shards: Path | None = None) -> None:
    """Make the files if none are named, go through them with every loader, print the table."""
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as made:
        folder, files = shards or Path(made, "shards"), Path(made, "pictures")
        if shards is None:
            write_pictures(files, pictures)
            pack(files, folder)
        else:
            unpack(folder, files)
        contents = [file.read_bytes() for file in sorted(files.glob("*.jpg"))]
        print(json.dumps({"pictures": len(contents), "mean bytes": round(statistics.mean(map(len, contents)))}))
        loaders: dict[str, Loader] = {
            "decoder and transforms alone": lambda: decoded(contents),
            "ours": lambda: ours(folder, len(contents)),
            "ours, pairs as they lie": lambda: ours(folder, len(contents), sequential=True),
            "ours, without simplejpeg": lambda: without_simplejpeg(lambda: ours(folder, len(contents))),
            **others(folder, files, "", pillow_view),
            **others(folder, files, ", our decoder", our_view),
        }
        print("reading a pair, CPU-microseconds:", json.dumps(reading_costs(folder, len(contents), 10 * rounds)))
        report(measure(loaders, rounds), "decoder and transforms alone")


def others(shards: Path, files: Path, name: str, view: View) -> dict[str, Loader]:
    """The loaders beside ours, each with the same view."""
    loaders: dict[str, Loader] = {
        f"datasets, streaming{name}": lambda: streamed(shards, view),
        f"DataLoader over a folder{name}": lambda: folder_loader(files, view),
    }
    if find_spec("webdataset"):
        loaders[f"webdataset{name}"] = lambda: webdataset_tars(shards, view)
    return loaders


def unpack(shards: Path, files: Path) -> None:
    """The pictures of shards as files of their own."""
    files.mkdir(parents=True)
    rows = IndexedRows.open(tar_files(shards), shards)
    for number in range(len(rows)):
        (files / f"{number:08d}.jpg").write_bytes(rows[number]["jpg"])


if __name__ == "__main__":
    tyro.cli(main)
