"""Parquet files as streams of tables: checked before anything is read, and never held whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from aimv2_lab.data.columns import MissingColumn
from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.files import visible_files

BATCH = 131_072  # rows read at a time; our choice


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files under a folder, in order, or the one that `path` is. Raises FileNotFoundError for none."""
    files = [file for file in visible_files(path) if file.suffix == ".parquet" and file.is_file()]
    if not files:
        raise FileNotFoundError(f"{path}: no Parquet files (seen from {Path.cwd()})")
    return files


def parquet_metadata(file: Path) -> pq.FileMetaData:
    """What a file's end says of it; raises DamagedArchive, naming the file, for one that is no whole Parquet."""
    try:
        return pq.read_metadata(file)
    except pa.ArrowInvalid as error:
        raise DamagedArchive(f"{file} is no whole Parquet file: {error}. Fetch or write it again") from None


def common_schema(files: Sequence[Path], needed: Iterable[str]) -> pa.Schema:
    """The one schema of many files, with the wider type where they differ in width.

    Raises MissingColumn where a file lacks a column that is `needed` or that the first file has, and ValueError for
    types that do not go together.
    """
    schemas = [parquet_metadata(file).schema.to_arrow_schema().remove_metadata() for file in files]
    columns = dict.fromkeys([*needed, *schemas[0].names])
    for file, schema in zip(files, schemas, strict=True):
        if missing := [name for name in columns if name not in schema.names]:
            raise MissingColumn(f"{file} has no column {', '.join(missing)}; found: {', '.join(schema.names)}")
    try:
        common = pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"the files under {files[0].parent} differ in the type of a column: {error}") from None
    return pa.schema([common.field(name) for name in schemas[0].names])


def read_tables(file: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a file, some at a time, as tables of a schema.

    The file is mapped: read into buffers, pyarrow would keep those of all row groups until the end.
    """
    with pq.ParquetFile(file, memory_map=True) as parquet:
        for batch in parquet.iter_batches(BATCH, columns=schema.names):
            yield pa.Table.from_batches([batch]).replace_schema_metadata(None).cast(schema)


def regrouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows` each, the last one with what is left."""
    waiting: list[pa.Table] = []
    room = rows
    for table in tables:
        while table.num_rows:
            waiting.append(table.slice(0, room))
            room -= waiting[-1].num_rows
            table = table.slice(waiting[-1].num_rows)
            if not room:
                yield pa.concat_tables(waiting)
                waiting, room = [], rows
    if waiting:
        yield pa.concat_tables(waiting)
