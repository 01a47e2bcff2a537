"""Write picture-caption pairs in the layouts that people hold: WebDataset tars, with the files that img2dataset puts
beside them, Parquet, image folders with metadata.jsonl, and Arrow as `datasets.save_to_disk` writes it.

Equal pairs give equal bytes: no times, no random order. (Another version of pyarrow or datasets may encode otherwise;
constraints.txt pins both.) Pairs are taken one by one, so that what is held in memory is one shard at most.
"""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from aimv2_lab.data.layouts import METADATA

NOT_FOUND = "HTTP Error 404: Not Found"  # as img2dataset words it
_SIZES = ("width", "height", "original_width", "original_height")


@dataclass(frozen=True)
class Sample:
    """One pair to be written: the encoded picture (none where its download failed), its size in pixels, its caption
    and whatever else is known of it."""

    key: str
    jpeg: bytes | None
    width: int
    height: int
    caption: str
    about: dict[str, Any]


def write_webdataset(folder: Path, name: str, samples: Iterable[Sample]) -> Path:
    """One tar with the members jpg, txt, json per key; samples without a picture are left out."""
    path = folder / f"{name}.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            if sample.jpeg is None:
                continue
            row = {"key": sample.key, "caption": sample.caption, "width": sample.width, "height": sample.height}
            texts = {"txt": sample.caption.encode(), "json": _json(row | sample.about).encode()}
            for extension, content in ({"jpg": sample.jpeg} | texts).items():
                member = tarfile.TarInfo(f"{sample.key}.{extension}")  # its time is 0, its owner nobody
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def write_img2dataset(folder: Path, name: str, samples: Iterable[Sample]) -> Path:
    """The tar, the Parquet file and the statistics that img2dataset writes per shard; returns the tar's path.

    The json members and the Parquet rows hold what is known of a pair and how its download ended. A failed one has a
    Parquet row only. The times in the statistics are 0. Source: img2dataset's writer.py and downloader.py.
    """
    rows: list[dict[str, Any]] = []

    def noted() -> Iterator[Sample]:
        for sample in samples:
            outcome = _outcome(sample)
            rows.append({"key": sample.key, "caption": sample.caption, **sample.about, **outcome})
            yield replace(sample, about=sample.about | outcome)

    tar = write_webdataset(folder, name, noted())
    names = dict.fromkeys([column for row in rows for column in row])
    schema = pa.schema({column: pa.int32() if column in _SIZES else pa.string() for column in names})
    plain = [{column: _plain(value) for column, value in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(plain, schema), folder / f"{name}.parquet")
    (folder / f"{name}_stats.json").write_text(json.dumps(_statistics(rows), indent=4))
    return tar


def write_parquet(folder: Path, name: str, samples: Iterable[Sample]) -> Path:
    """One Parquet file; its schema tells HF datasets that `image` is a picture."""
    rows = [_table_row(sample) for sample in samples]
    kinds = {column: {"dtype": "string", "_type": "Value"} for column in rows[0]} | {"image": {"_type": "Image"}}
    table = pa.Table.from_pylist(rows)
    table = table.replace_schema_metadata({"huggingface": _json({"info": {"features": kinds}})})
    path = folder / f"{name}.parquet"
    pq.write_table(table, path, compression="zstd")
    return path


def write_imagefolder(folder: Path, name: str, samples: Iterable[Sample]) -> Path:
    """A folder of pictures with their metadata.jsonl; a key that comes again is listed again, its picture kept."""
    inside = folder / name
    inside.mkdir(exist_ok=True)
    written = set()
    with (inside / METADATA).open("w", encoding="utf-8", newline="\n") as lines:
        for sample in samples:
            if sample.jpeg is not None and sample.key not in written:
                (inside / f"{sample.key}.jpg").write_bytes(sample.jpeg)
                written.add(sample.key)
            lines.write(_json({"file_name": f"{sample.key}.jpg", "caption": sample.caption, **sample.about}) + "\n")
    return inside


def write_arrow(folder: Path, samples: Iterable[Sample], shards: int, about: str) -> None:
    """A folder for `datasets.load_from_disk`, in `shards` files; equal `about` means equal samples."""
    samples = iter(samples)
    first = next(samples)
    features = datasets.Features({column: datasets.Value("string") for column in _table_row(first)})
    features["image"] = datasets.Image()

    def rows() -> Iterator[dict[str, Any]]:
        yield _table_row(first)
        yield from map(_table_row, samples)

    with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as cache:
        table = datasets.Dataset.from_generator(
            rows,
            features=features,
            cache_dir=cache,
            fingerprint=blake2b(about.encode(), digest_size=8).hexdigest(),
            writer_batch_size=100,  # pictures can be large
        )
        table.save_to_disk(folder, num_shards=shards)


def _outcome(sample: Sample) -> dict[str, Any]:
    """What img2dataset says of a download that ended well, or of one that failed."""
    if sample.jpeg is None:
        return {"status": "failed_to_download", "error_message": NOT_FOUND, "sha256": None} | dict.fromkeys(_SIZES)
    sizes = dict(zip(_SIZES, (sample.width, sample.height) * 2, strict=True))
    return {"status": "success", "error_message": None, **sizes}


def _statistics(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = Counter(row["status"] for row in rows)
    return {
        "count": len(rows),
        "successes": found["success"],
        "failed_to_download": found["failed_to_download"],
        "failed_to_resize": 0,
        "duration": 0.0,
        "start_time": 0.0,
        "end_time": 0.0,
        "status_dict": dict(Counter(row["error_message"] or "success" for row in rows)),
    }


def _table_row(sample: Sample) -> dict[str, Any]:
    """A row of Parquet or Arrow: lists as JSON inside a string, the picture in the form of HF datasets."""
    image = {"bytes": sample.jpeg, "path": f"{sample.key}.jpg"}
    about = {name: value if isinstance(value, str) else _json(value) for name, value in sample.about.items()}
    return {"key": sample.key, "image": image, "caption": sample.caption, **about}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int)) else _json(value)


def _json(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))
