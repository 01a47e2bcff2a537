"""Dropping equal rows and joining tables too large for memory: rows with equal values first meet in one bucket on disk.

A bucket holds about a 256th of all rows, and one is held in memory at a time. Its texts have 64-bit offsets, for they
may be more than 2 GiB; rows leave it with the types that they came with.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BUCKETS = 256  # so many files are open at a time; our choice
_ROWS = 1_000  # joined at a time: with texts of up to 2 MB each they have 32-bit offsets again; our choice
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


def unique_rows(tables: Iterable[pa.Table], column: str, place: Path, counts: Counter[str]) -> Iterator[pa.Table]:
    """The first row of every value of `column`, and all rows without a value, bucket by bucket.

    `place` is the folder that buckets are put in; `counts` counts what is left out, as "equal COLUMN".
    """
    with TemporaryDirectory(dir=place) as folder:
        schema = _fill(tables, column, Path(folder))
        for number in range(BUCKETS):
            table = _bucket(Path(folder), number)
            if table is None:
                continue
            codes = np.asarray(_texts(table, column).dictionary_encode().indices.fill_null(-1))
            first = np.zeros(len(codes), dtype=bool)
            first[np.unique(codes, return_index=True)[1]] = True
            kept = table.filter(pa.array(first | (codes == -1)))
            counts[f"equal {column}"] += table.num_rows - kept.num_rows
            yield kept.cast(schema)


def joined(
    tables: Iterable[pa.Table], others: Iterable[pa.Table], on: tuple[str, str], place: Path, counts: Counter[str]
) -> Iterator[pa.Table]:
    """Every row of `tables` with the columns of a row of `others` that has the same value, bucket by bucket.

    `on` names the column of `tables` and that of `others`, which is not added. Where no row has the value, the columns
    are null; where several have it, the first is taken. `counts` counts all three cases. Raises ValueError where
    `others` has no rows.
    """
    with TemporaryDirectory(dir=place) as folder:
        left, right = Path(folder) / "left", Path(folder) / "right"
        added, schema = _fill(others, on[1], right), _fill(tables, on[0], left)
        for field in added:
            schema = schema if field.name == on[1] else schema.append(field)
        filled = (other for number in range(BUCKETS) if (other := _bucket(right, number)) is not None)
        some = next(filled, None)
        if some is None:
            raise ValueError("the second table of the join has no rows")
        for number in range(BUCKETS):
            table, other = _bucket(left, number), _bucket(right, number)
            if table is not None:
                for piece in _with_columns(table, some.slice(0, 0) if other is None else other, on, counts):
                    yield piece.cast(schema)


def _with_columns(table: pa.Table, other: pa.Table, on: tuple[str, str], counts: Counter[str]) -> Iterator[pa.Table]:
    values, others = _texts(table, on[0]), _texts(other, on[1])
    partner = pc.index_in(values, value_set=others, skip_nulls=True)
    several = pc.sum(pc.is_in(others, value_set=values, skip_nulls=True)).as_py() or 0
    counts["joined"] += len(values) - partner.null_count
    counts["without a partner"] += partner.null_count
    counts["further partners, not used"] += several - len(partner.drop_null().unique())
    other = other.drop_columns([on[1]]).combine_chunks()
    for start in range(0, table.num_rows, _ROWS):
        piece = table.slice(start, _ROWS)
        for name in other.column_names:
            piece = piece.append_column(name, other[name].take(partner.slice(start, _ROWS)))
        yield piece


def _fill(tables: Iterable[pa.Table], column: str, folder: Path) -> pa.Schema:
    """Write every row to the bucket that its value in `column` belongs to, in order; gives the schema they had."""
    folder.mkdir(exist_ok=True)
    writers: dict[int, pa.RecordBatchWriter] = {}
    schema = pa.schema([])
    with ExitStack() as files:
        for table in tables:
            schema = table.schema
            numbers = _bucket_numbers(table, column)
            table = table.cast(pa.schema([field.with_type(_large(field.type)) for field in schema]))
            order = np.argsort(numbers, kind="stable")
            ends = np.searchsorted(numbers[order], np.arange(BUCKETS + 1))
            arranged = table.combine_chunks().take(order)
            for number in np.unique(numbers).tolist():
                if number not in writers:
                    stream = pa.ipc.new_stream(folder / f"{number:03d}", table.schema, options=_COMPRESSED)
                    writers[number] = files.enter_context(stream)
                start, end = int(ends[number]), int(ends[number + 1])
                writers[number].write_table(arranged.slice(start, end - start))
    return schema


def _large(kind: pa.DataType) -> pa.DataType:
    """The same type with 64-bit offsets, inside others too."""
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return pa.large_string() if pa.types.is_string(kind) else pa.large_binary()
    if pa.types.is_list(kind):
        return pa.large_list(_large(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_large(field.type)) for field in kind])
    return kind


def _bucket_numbers(table: pa.Table, column: str) -> np.ndarray:
    """The bucket of every row (N,); rows without a value, which are equal to no other, are spread over all."""
    values = _texts(table, column).to_pylist()
    hashes = [row if value is None else zlib.crc32(value.encode()) for row, value in enumerate(values)]
    return np.array(hashes, dtype=np.int64) % BUCKETS


def _bucket(folder: Path, number: int) -> pa.Table | None:
    path = folder / f"{number:03d}"
    if not path.exists():
        return None
    with pa.ipc.open_stream(path) as stream:
        return stream.read_all()


def _texts(table: pa.Table, column: str) -> pa.Array:
    try:
        return table[column].cast(pa.large_string()).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ValueError(f"column {column} holds {table[column].type}, which cannot be compared as a text") from None
