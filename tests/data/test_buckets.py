from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aimv2_lab.data import buckets
from aimv2_lab.data.buckets import BUCKETS, joined, unique_rows


def pieces(table: pa.Table, rows: int = 97) -> Iterator[pa.Table]:
    return (table.slice(start, rows) for start in range(0, table.num_rows, rows))


def rows_of(tables: Iterator[pa.Table]) -> list[dict[str, object]]:
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: str(row["row"]))


def numbered(values: list[object]) -> pa.Table:
    return pa.table({"value": values, "row": [f"{number:05d}" for number in range(len(values))]})


@pytest.mark.parametrize("kind", [str, int])
def test_the_first_row_of_every_value_is_kept(kind: type, tmp_path: Path) -> None:
    values = [kind(number) for number in np.random.default_rng(0).integers(0, 600, 2_000)]
    counts = Counter[str]()
    found = rows_of(unique_rows(pieces(numbered(values)), "value", tmp_path, counts))
    first = {value: number for number, value in reversed(list(enumerate(values)))}
    assert [int(str(row["row"])) for row in found] == sorted(first.values())
    assert counts == {"equal value": 2_000 - len(first)}


def test_rows_without_a_value_are_all_kept(tmp_path: Path) -> None:
    counts = Counter[str]()
    table = numbered([None] * 1_000 + ["a", "a", ""])
    sizes = [piece.num_rows for piece in unique_rows(pieces(table), "value", tmp_path, counts)]
    assert sum(sizes) == 1_002 and counts == {"equal value": 1}
    assert max(sizes) < 50  # they are spread over the buckets


def test_a_bucket_holds_a_small_part_of_the_rows(tmp_path: Path) -> None:
    table = numbered([f"https://world.invalid/{number}" for number in range(BUCKETS * 20)])
    sizes = [piece.num_rows for piece in unique_rows(pieces(table, 1_000), "value", tmp_path, Counter())]
    assert sum(sizes) == BUCKETS * 20 and max(sizes) < 60


def test_a_join_gives_every_row_its_first_partner_or_nulls(tmp_path: Path) -> None:
    left = numbered([None] + [str(number % 500) for number in range(1_000)])
    keys = [None] + [str(number) for number in range(200, 700)] + ["300", "300", "1000"]
    right = pa.table({"name": keys, "caption": [f"{key} is first" for key in keys[:501]] + ["later"] * 3})
    counts = Counter[str]()
    found = rows_of(joined(pieces(left), pieces(right, 61), ("value", "name"), tmp_path, counts))
    assert len(found) == 1_001 and "name" not in found[0]
    for row in found:
        has = row["value"] is not None and 200 <= int(str(row["value"])) < 700
        assert row["caption"] == (f"{row['value']} is first" if has else None)
    assert counts == {"joined": 600, "without a partner": 401, "further partners, not used": 2}


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    list(unique_rows(pieces(numbered(["a"] * 10)), "value", tmp_path, Counter()))
    assert not [*tmp_path.iterdir()]


def test_no_rows_give_none(tmp_path: Path) -> None:
    assert not [*unique_rows(iter([]), "value", tmp_path, Counter())]
    some = pa.table({"value": ["a"], "caption": ["b"]})
    assert not [*joined(iter([]), iter([some]), ("value", "value"), tmp_path, Counter())]
    with pytest.raises(ValueError, match="second table of the join has no rows"):
        list(joined(iter([some]), iter([]), ("value", "value"), tmp_path, Counter()))


def test_a_column_of_lists_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="column value holds list"):
        list(unique_rows(pieces(numbered([[1], [2]])), "value", tmp_path, Counter()))


def test_buckets_have_wide_offsets_and_rows_leave_with_their_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The texts of a bucket may be more than 2 GiB, which the 32-bit offsets of Arrow's strings cannot address."""
    read, seen = buckets._bucket, list[pa.Schema]()

    def watched(folder: Path, number: int) -> pa.Table | None:
        table = read(folder, number)
        seen.extend([table.schema] if table is not None else [])
        return table

    monkeypatch.setattr(buckets, "_bucket", watched)
    monkeypatch.setattr(buckets, "_ROWS", 7)
    texts = [f"text {number}" for number in range(3_000)]
    schema = pa.schema(
        {
            "value": pa.string(),
            "row": pa.string(),
            "raw": pa.binary(),
            "texts": pa.list_(pa.string()),
            "faces": pa.list_(pa.list_(pa.float64())),
            "about": pa.struct({"name": pa.string(), "size": pa.int64()}),
            "kind": pa.dictionary(pa.int32(), pa.string()),
        }
    )
    columns = [texts, texts, [text.encode() for text in texts], [[text, None] for text in texts]]
    columns += [[[[1.0]]] * 3_000, [{"name": text, "size": 3} for text in texts], ["a", None, "b"] * 1_000]
    table = pa.table(columns, schema=schema)
    found = list(unique_rows(pieces(table), "value", tmp_path, Counter()))
    assert {piece.schema for piece in found} == {schema}
    assert rows_of(iter(found)) == rows_of(iter([table]))
    others = table.rename_columns([f"other {name}" for name in schema.names])
    both = list(joined(pieces(table), pieces(others), ("value", "other row"), tmp_path, Counter()))
    expected = pa.schema([*schema, *(others.schema.field(name) for name in others.column_names if "row" not in name)])
    assert {piece.schema for piece in both} == {expected}
    assert all(row[f"other {name}"] == row[name] for row in rows_of(iter(both)) for name in ("value", "texts", "kind"))
    narrow = (pa.types.is_string, pa.types.is_binary, pa.types.is_list)
    kinds = [kind for each in seen for kind in each.types]
    kinds += [kind.value_type for kind in kinds if pa.types.is_large_list(kind)]
    kinds += [field.type for kind in kinds if pa.types.is_struct(kind) for field in kind]
    assert len(seen) > 2 * BUCKETS and not [kind for kind in kinds if any(is_kind(kind) for is_kind in narrow)]
