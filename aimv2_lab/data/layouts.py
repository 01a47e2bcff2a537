"""The layouts pairs come in, each as rows of one kind: a key and named fields. HF `datasets` holds every one of them,
map-style: Arrow files in its cache, mapped into memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast

import datasets
from datasets.exceptions import DatasetGenerationError

from aimv2_lab.data.columns import nested_names, parse_member
from aimv2_lab.data.damage import DamagedCaption
from aimv2_lab.data.parquet import parquet_metadata
from aimv2_lab.data.tars import DamagedArchive, tar_samples, without_suffix

METADATA = "metadata.jsonl"
PREVIEWED = 100  # rows looked at for the names of their fields; our choice
KEY_NAMES = ("__key__", "key", "uid")
_ARROW_END = bytes.fromhex("ffffffff00000000")  # what every whole Arrow stream ends with
_CACHE_VERSION = 1  # raise it when what the readers below yield changes: caches made before are then made anew


class Rows(Protocol):
    """Rows by number. `keys` are their names, unique within the data; `names` the fields found, dotted where nested."""

    names: list[str]
    keys: Sequence[str]

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


@dataclass
class TarRows:
    """Samples of WebDataset shards; fields are the members' bytes by extension."""

    table: datasets.Dataset
    names: list[str]
    keys: Sequence[str]

    @classmethod
    def open(cls, files: Sequence[Path], root: Path) -> TarRows:
        """Read whole shards into the cache, once; raises DamagedArchive for a truncated one.

        HF's own reader is not used: it takes the kinds of members from the first five samples and a truncated tar for
        a short one.
        """
        types = {"key": "string", "names": ["string"], "contents": ["large_binary"]}
        rows = cls(_cached(_tar_rows, files, root, types), [], [])
        first = [rows[index] for index in range(min(PREVIEWED, len(rows.table)))]
        rows.names = _union(_member_names(name, content) for row in first for name, content in row.items())
        rows.keys = rows.table["key"][:]
        return rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.table[index]
        return dict(zip(row["names"], row["contents"], strict=True))


@dataclass
class FolderRows:
    """Pictures listed in metadata.jsonl files, one JSON object a line with `file_name`; fields are the object's."""

    table: datasets.Dataset
    names: list[str]
    keys: Sequence[str]
    root: Path

    @classmethod
    def open(cls, files: Sequence[Path], root: Path) -> FolderRows:
        """Read the lists into the cache; the pictures stay where they are.

        HF's own reader is not used: it refuses a whole list for one caption of another type.
        """
        types = {"key": "string", "folder": "string", "line": "string"}
        table = _cached(_metadata_rows, files, root, types)
        first = [_json_object(table[index]["line"]) or {} for index in range(min(PREVIEWED, len(table)))]
        names = _union(nested_names(name, row[name]) for row in first for name in row)
        return cls(table, names, table["key"][:], root)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.table[index]
        fields = _json_object(row["line"])
        if fields is None:
            raise DamagedCaption(row["key"], f"unreadable {METADATA}: {row['line']:.40}")
        names_a_file = isinstance(fields.get("file_name"), str)
        return fields | {"file_name": str(self.root / row["folder"] / fields["file_name"])} if names_a_file else fields


@dataclass
class TableRows:
    """Rows of a Parquet, Arrow or hub data set; fields are its columns, pictures not decoded."""

    table: datasets.Dataset
    names: list[str]
    keys: Sequence[str]

    @classmethod
    def open(cls, files: Sequence[Path], root: Path) -> TableRows:
        """Open Parquet files as one table; raises DamagedArchive, naming the file, for one that is no whole Parquet."""
        keys = [
            f"{file.relative_to(root).with_suffix('').as_posix()}/{row:08d}"
            for file in files
            for row in range(parquet_metadata(file).num_rows)
        ]
        table = datasets.load_dataset("parquet", data_files=[str(file) for file in files], split="train")
        return cls.of(cast(datasets.Dataset, table), keys)

    @classmethod
    def saved(cls, folder: Path) -> TableRows:
        """Open a table written by `datasets.save_to_disk`; raises DamagedArchive, naming the file, for one cut off.

        HF takes a file that ends between two batches of rows for a short one.
        """
        for file in sorted(folder.glob("*.arrow")):
            with file.open("rb") as stream:
                stream.seek(max(file.stat().st_size - len(_ARROW_END), 0))
                if stream.read() != _ARROW_END:
                    raise DamagedArchive(f"{file} is truncated: fetch or write it again")
        return cls.of(cast(datasets.Dataset, datasets.load_from_disk(str(folder))))

    @classmethod
    def of(cls, table: datasets.Dataset, keys: Sequence[str] = ()) -> TableRows:
        """Rows of a table; their keys are a column named like one, else `keys`, else row numbers."""
        for name, kind in table.features.items():
            if isinstance(kind, datasets.Image):
                table = table.cast_column(name, datasets.Image(decode=False))
        named = next((name for name in KEY_NAMES if name in table.column_names), None)
        keys = [str(key) for key in table[named][:]] if named else keys or [f"{row:08d}" for row in range(len(table))]
        return cls(table, _union(_feature_names(column, kind) for column, kind in table.features.items()), keys)

    def only(self, columns: Sequence[str]) -> TableRows:
        """The same rows with the columns needed alone, so that no other is read."""
        roots = {*columns, *(column.partition(".")[0] for column in columns)}
        there = [name for name in self.table.column_names if name in roots]
        return TableRows(self.table.select_columns(there), self.names, self.keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.table[index]


def saved_tables(folder: Path) -> dict[str, Path]:
    """The folders of tables that `datasets.save_to_disk` wrote, by the name of their split: the folder itself, for
    training, or those in it."""
    if (folder / "state.json").is_file():
        return {"train": folder}
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return {part.name: part for part in inside if (part / "state.json").is_file()}


def _union(names: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(names)))


def _cached(
    reader: Callable[..., Any], files: Sequence[Path], root: Path, types: Mapping[str, Any]
) -> datasets.Dataset:
    """What `reader` yields, in HF's cache under a name that changes with the files' names, sizes and times."""
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    about = json.dumps([_CACHE_VERSION, reader.__name__, str(root), [str(file) for file in files], stamps])
    features = {
        name: datasets.List(datasets.Value(kind[0])) if isinstance(kind, list) else datasets.Value(kind)
        for name, kind in types.items()
    }
    try:
        made = datasets.Dataset.from_generator(
            reader,
            features=datasets.Features(features),
            gen_kwargs={"files": tuple(files), "root": root},
            fingerprint=blake2b(about.encode(), digest_size=8).hexdigest(),
            writer_batch_size=100,  # pictures can be large
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, DamagedArchive):
            raise error.__cause__ from None
        raise
    return cast(datasets.Dataset, made)


def _tar_rows(files: tuple[Path, ...], root: Path) -> Iterator[dict[str, Any]]:
    for file in files:
        shard = without_suffix(file.relative_to(root).as_posix())
        for sample in tar_samples(file):
            yield sample | {"key": f"{shard}/{sample['key']}"}


def _metadata_rows(files: tuple[Path, ...], root: Path) -> Iterator[dict[str, Any]]:
    for file in files:
        folder = file.parent.relative_to(root).as_posix()
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    named = (_json_object(line) or {}).get("file_name", f"{METADATA} line {number}")
                    key = str(named) if folder == "." else f"{folder}/{named}"
                    yield {"key": key, "folder": folder, "line": line}


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _member_names(name: str, content: bytes) -> list[str]:
    if name.rpartition(".")[2] != "json":
        return [name]
    try:
        return nested_names(name, parse_member(name, content, name))
    except DamagedCaption:
        return [name]


def _feature_names(name: str, kind: Any) -> list[str]:
    """A column's name and the dotted names inside it."""
    while isinstance(kind, (datasets.List, datasets.LargeList)):
        kind = kind.feature
    inner = kind.items() if isinstance(kind, dict) else ()
    return [name, *chain.from_iterable(_feature_names(f"{name}.{part}", part_kind) for part, part_kind in inner)]
