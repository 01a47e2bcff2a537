"""Write generated pairs in every layout, and open them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from aimv2_lab.data.images import decode_image
from aimv2_lab.data.records import Source
from aimv2_lab.data.sources import Split, open_source
from aimv2_lab.recipes import DataRecipe
from tests.data.generated import encoded, picture, write_image_folder, write_shard


def opened(path: Path | str, split: Split = "train", **changes: Any) -> Source:
    return open_source(str(path), split, replace(DataRecipe(), **changes), 16)


def keys(source: Source) -> list[str]:
    return [source[index].key for index in range(len(source))]


def numbers(source: Source) -> list[int]:
    """Which generated pictures a source holds, by their captions; their pixels must agree."""
    found = []
    for index in range(len(source)):
        pair = source[index]
        number = int(pair.captions[0].rpartition(" ")[2])
        assert np.array_equal(np.asarray(decode_image(pair.image, pair.key)), np.asarray(picture(number)))
        found.append(number)
    return found


def write_parquet(path: Path, columns: Mapping[str, Sequence[object]], images: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(dict(columns))
    if images:
        table = table.cast_column("image", datasets.Image())
    table.to_parquet(str(path))
    return path


def pictures(chosen: Sequence[int]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {"image": [{"bytes": encoded(picture(n)), "path": None} for n in chosen]}
    return columns | {"text": [f"caption {n}" for n in chosen]}


def tar_layout(root: Path, split: str, chosen: Sequence[int]) -> None:
    write_shard(root / f"{split}-00000.tar.xz", chosen[: len(chosen) // 2])
    write_shard(root / f"{split}-00001.tar", chosen[len(chosen) // 2 :])


def parquet_layout(root: Path, split: str, chosen: Sequence[int]) -> None:
    write_parquet(root / f"{split}-a.parquet", pictures(chosen[:3]))
    write_parquet(root / f"{split}-b.parquet", pictures(chosen[3:]))


def folder_layout(root: Path, split: str, chosen: Sequence[int]) -> None:
    lines = [{"file_name": f"{n}.png", "text": f"caption {n}"} for n in chosen]
    write_image_folder(root / split, lines)
    for n in chosen:
        (root / split / f"{n}.png").write_bytes(encoded(picture(n)))


def arrow_layout(root: Path, split: str, chosen: Sequence[int]) -> None:
    table = datasets.Dataset.from_dict(pictures(chosen)).cast_column("image", datasets.Image())
    table.save_to_disk(root / split, num_shards=2)


LAYOUTS = [tar_layout, parquet_layout, folder_layout]
Layout = Callable[[Path, str, Sequence[int]], None]
