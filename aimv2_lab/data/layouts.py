"""The layouts pairs come in, each as rows of one kind: a key and named fields. HF `datasets` holds image folders and
tables, map-style: Arrow files in its cache, mapped into memory; shards are read where they lie (`tars.rows`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, Protocol, cast

import datasets
import numpy as np

from aimv2_lab.data.columns import KEY_NAMES, nested_names, parse_json
from aimv2_lab.data.damage import DamagedArchive, DamagedCaption
from aimv2_lab.data.files import root_of
from aimv2_lab.data.keys import ColumnLabels, Places, RowKeys
from aimv2_lab.data.parquet import parquet_metadata
from aimv2_lab.data.shares import shares_of

METADATA = "metadata.jsonl"
PREVIEWED = 100  # rows looked at for the names of their fields; our choice
SHARD_BYTES = 500_000_000  # about what a tar or one of HF's Arrow files has; our choice
ARROW_BATCH = 10_000  # rows; of HF's 100, a table of pictures has so many that opening it takes seconds; our choice
_ARROW_END = bytes.fromhex("ffffffff00000000")  # what every whole Arrow stream ends with
_CACHE_VERSION = 1  # raise it when what _metadata_rows yields changes: caches made before are then made anew


class Rows(Protocol):
    """Rows by number."""

    @property
    def names(self) -> list[str]:
        """The fields found, dotted where nested."""
        ...

    @property
    def shares(self) -> np.ndarray:
        """A number in 0 … 1 for every row, (N,) float64, which says whether it is held out (see `shares_of`)."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes with the rows' keys and their order."""
        ...

    @property
    def shard_ends(self) -> np.ndarray:
        """The row after the last of every shard, (shards,) int64; one where any row is read as fast as any other."""
        ...

    def only(self, columns: Sequence[str]) -> Rows:
        """The same rows with the fields needed for these columns alone, where that saves reading."""
        ...

    def key(self, row: int) -> str:
        """The row's name, unique within the data; raises IndexError."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


class _NamedRows:
    """What follows from keys and shards."""

    keys: RowKeys
    shard_ends: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, row: int) -> str:
        """The row's name, unique within the data; raises IndexError."""
        return self.keys[row]

    @property
    def shares(self) -> np.ndarray:
        """As `key_shares` has them for the labels of the keys."""
        return shares_of(self.keys.hashes)

    @property
    def fingerprint(self) -> str:
        """Of the keys in their order and of the shards, which decide on the order of reading."""
        about = f"{self.keys.fingerprint} {self.shard_ends.tolist()}"
        return blake2b(about.encode(), digest_size=16).hexdigest()


@dataclass
class FolderRows(_NamedRows):
    """Pictures listed in metadata.jsonl files, one JSON object a line with `file_name`; fields are the object's."""

    table: datasets.Dataset
    names: list[str]
    keys: RowKeys
    shard_ends: np.ndarray  # one: every picture is a file of its own
    root: Path

    @classmethod
    def open(cls, files: Sequence[Path], data: Path) -> FolderRows:
        """Read the lists into the cache; the pictures stay where they are.

        HF's own reader is not used: it refuses a whole list for one caption of another type.
        """
        root = root_of(data)
        table = _cached_lists(files, root)
        first = [_json_object(table[index]["line"]) or {} for index in range(min(PREVIEWED, len(table)))]
        names = _union(nested_names(name, row[name]) for row in first for name in row)
        return cls(table, names, RowKeys.of(ColumnLabels.of(table, "key")), np.array([len(table)]), root)

    def only(self, columns: Sequence[str]) -> FolderRows:
        """These rows: a line is read whole."""
        return self

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.table[index]
        fields = _json_object(row["line"])
        if fields is None:
            raise DamagedCaption(row["key"], f"unreadable {METADATA}: {row['line']:.40}")
        names_a_file = isinstance(fields.get("file_name"), str)
        return fields | {"file_name": str(self.root / row["folder"] / fields["file_name"])} if names_a_file else fields


@dataclass
class TableRows(_NamedRows):
    """Rows of a Parquet, Arrow or hub data set; fields are its columns, pictures not decoded."""

    table: datasets.Dataset
    names: list[str]
    keys: RowKeys
    shard_ends: np.ndarray

    @classmethod
    def open(cls, files: Sequence[Path], data: Path) -> TableRows:
        """Open Parquet files as one table; raises DamagedArchive, naming the file, for one that is no whole Parquet."""
        found = [parquet_metadata(file) for file in files]
        prefixes = [f"{file.relative_to(root_of(data)).with_suffix('').as_posix()}/" for file in files]
        places = Places(tuple(prefixes), tuple(accumulate(one.num_rows for one in found)))
        table = datasets.load_dataset(
            "parquet", data_files=[str(file) for file in files], split="train", writer_batch_size=ARROW_BATCH
        )
        groups = (one.row_group(number) for one in found for number in range(one.num_row_groups))
        return cls.of(cast(datasets.Dataset, table), places, sum(group.total_byte_size for group in groups))

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
    def of(cls, table: datasets.Dataset, places: Places | None = None, size: int | None = None) -> TableRows:
        """Rows of a table; of Parquet files, whose Arrow copy may differ from place to place, with places and bytes.

        Their keys are a column named like one, in Parquet as `RowKeys.in_files` has it, else the rows' places or
        numbers; rows of equal keys are told apart by their numbers.
        """
        for name, kind in table.features.items():
            if isinstance(kind, datasets.Image):
                table = table.cast_column(name, datasets.Image(decode=False))
        named = next((name for name in KEY_NAMES if name in table.column_names), None)
        if named:
            labels = ColumnLabels.of(table, named)
            keys = RowKeys.in_files(labels, places) if places else RowKeys.of(labels)
        else:
            keys = RowKeys.of(places or Places(("",), (len(table),)))
        if size is None:
            size = sum(Path(part["filename"]).stat().st_size for part in table.cache_files)
        names = _union(_feature_names(column, kind) for column, kind in table.features.items())
        return cls(table, names, keys, _even_shards(len(table), size))

    def only(self, columns: Sequence[str]) -> TableRows:
        """The same rows with the columns needed alone, so that no other is read."""
        roots = {*columns, *(column.partition(".")[0] for column in columns)}
        there = [name for name in self.table.column_names if name in roots]
        return replace(self, table=self.table.select_columns(there))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """The row's columns; a number that HF keeps for a class is the class's name, none where it stands for none."""
        row: dict[str, Any] = self.table[index]
        for column, names in self.declared_classes.items():
            row[column] = names[row[column]] if row[column] is not None and row[column] >= 0 else None
        return row

    @cached_property
    def declared_classes(self) -> dict[str, list[str]]:
        """The names of the classes of every column that HF keeps as numbers of classes."""
        kinds = self.table.features.items()
        return {column: kind.names for column, kind in kinds if isinstance(kind, datasets.ClassLabel)}


def saved_tables(folder: Path) -> dict[str, Path]:
    """The folders of tables that `datasets.save_to_disk` wrote, by the name of their split: the folder itself, for
    training, or those in it."""
    if (folder / "state.json").is_file():
        return {"train": folder}
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return {part.name: part for part in inside if (part / "state.json").is_file()}


def _even_shards(rows: int, size: int) -> np.ndarray:
    """Ends of runs of rows of SHARD_BYTES each, where the whole has `size` bytes.

    What is read is the table in Arrow, where neighbours lie side by side. Its own batches and the groups of Parquet
    files are no measure: of pictures HF writes 100 to one, too few to be mixed well in an order's windows. Measured
    with rows of 40 kB and nothing cached: drawn from 4.8 GB, a row costs 1.2 MB of reading, drawn from one run 41 kB.
    """
    run = max(1, rows * SHARD_BYTES // max(size, 1))
    return np.append(np.arange(run, rows, run), rows)


def _union(names: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(names)))


def _cached_lists(files: Sequence[Path], root: Path) -> datasets.Dataset:
    """The lines of metadata.jsonl files, in HF's cache under a name that changes with their names, sizes and times."""
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    about = json.dumps([_CACHE_VERSION, str(root), [str(file) for file in files], stamps])
    made = datasets.Dataset.from_generator(
        _metadata_rows,
        features=datasets.Features({name: datasets.Value("string") for name in ("key", "folder", "line")}),
        gen_kwargs={"files": tuple(files), "root": root},
        fingerprint=blake2b(about.encode(), digest_size=8).hexdigest(),
    )
    return cast(datasets.Dataset, made)


def _metadata_rows(files: tuple[Path, ...], root: Path) -> Iterator[dict[str, Any]]:
    for file in files:
        folder = file.parent.relative_to(root).as_posix()
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    named = (_json_object(line) or {}).get("file_name", f"{METADATA} line {number}")
                    key = str(named) if folder == "." else f"{folder}/{named}"
                    # JSON can hold half of a character, which UTF-8 cannot.
                    yield {"key": key.encode("utf-8", "backslashreplace").decode(), "folder": folder, "line": line}


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        value = parse_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _feature_names(name: str, kind: Any) -> list[str]:
    """A column's name and the dotted names inside it."""
    while isinstance(kind, (datasets.List, datasets.LargeList)):
        kind = kind.feature
    inner = kind.items() if isinstance(kind, dict) else ()
    return [name, *chain.from_iterable(_feature_names(f"{name}.{part}", part_kind) for part, part_kind in inner)]
