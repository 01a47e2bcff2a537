"""Numbers that come with the samples of a shard: in their json members, or in the Parquet file beside the shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from aimv2_lab.data.columns import KEY_NAMES
from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.tars.archive import without_suffix


def parquet_beside(shard: Path) -> Path:
    """Where img2dataset writes what it knows of a shard's samples: NAME.parquet beside NAME.tar."""
    return shard.with_name(f"{without_suffix(shard.name)}.parquet")


def parquet_numbers(file: Path, columns: Sequence[str]) -> dict[str, dict[str, float]]:
    """key -> column -> number, of those columns that a Parquet file has; nothing where there is no file.

    Raises DamagedArchive for a broken file, ValueError for a column that holds something else than numbers.
    """
    if not columns or not file.exists():
        return {}
    try:
        names = pyarrow.parquet.read_schema(file).names
        key = next((name for name in KEY_NAMES if name in names), None)
        wanted = [column for column in columns if column in names]
        table = pyarrow.parquet.read_table(file, columns=[key, *wanted]) if key and wanted else None
    except pyarrow.ArrowInvalid as error:
        raise DamagedArchive(f"{file} is no whole Parquet file: {error}. Fetch or write it again") from None
    if table is None:
        return {}
    values = [_as_numbers(file, column, table[column]) for column in wanted]
    return {
        str(row_key): dict(zip(wanted, row, strict=True))
        for row_key, *row in zip(table[key].to_pylist(), *values, strict=True)
    }


def nested_value(about: Any, name: str) -> Any:
    """What a json holds under a name, or under a dotted path; None where it holds nothing."""
    if not isinstance(about, Mapping):
        return None
    head, _, rest = name.partition(".")
    return nested_value(about.get(head), rest) if rest and name not in about else about.get(name)


def _as_numbers(file: Path, column: str, values: pyarrow.ChunkedArray) -> list[float]:
    types = pyarrow.types
    kinds = (types.is_integer, types.is_floating, types.is_boolean, types.is_null)
    if not any(is_kind(values.type) for is_kind in kinds):
        raise ValueError(f"column {column} of {file} holds {values.type}, not numbers: leave it out of --columns")
    return values.cast(pyarrow.float64(), safe=False).to_numpy().tolist()
