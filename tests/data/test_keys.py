"""Keys of tables and image folders: unique, read on demand, and hashed once."""

import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from aimv2_lab.data import keys as keys_module
from aimv2_lab.data import layouts
from aimv2_lab.data.damage import DamagedCaption
from aimv2_lab.data.keys import ColumnLabels, Places, RowKeys
from aimv2_lab.data.shares import key_hashes, key_shares
from aimv2_lab.data.sources import RowSource
from tests.data.generated import encoded, picture, write_image_folder
from tests.data.layouts import Layout, arrow_layout, folder_layout, keys, numbers, opened, pictures, write_parquet


def uid_layout(root: Path, split: str, chosen: list[int]) -> None:
    """Two Parquet files with a column of unique keys."""
    for name, part in (("a", chosen[:3]), ("b", chosen[3:])):
        write_parquet(root / f"{split}-{name}.parquet", pictures(part) | {"uid": [f"uid {number}" for number in part]})


def number_layout(root: Path, split: str, chosen: list[int]) -> None:
    """Two Parquet files that number their rows anew."""
    for name, part in (("a", chosen[:3]), ("b", chosen[3:])):
        write_parquet(root / f"{split}-{name}.parquet", pictures(part) | {"key": list(range(len(part)))})


def parquet_layout(root: Path, split: str, chosen: list[int]) -> None:
    write_parquet(root / f"{split}-a.parquet", pictures(chosen[:3]))
    write_parquet(root / "more" / f"{split}-b.parquet", pictures(chosen[3:]))


EXPECTED = [
    (uid_layout, [f"uid {number}" for number in range(8)]),
    (number_layout, [*(f"train-a/{row}" for row in range(3)), *(f"train-b/{row}" for row in range(5))]),
    (parquet_layout, [*(f"more/train-b/{row:08d}" for row in range(5)), *(f"train-a/{row:08d}" for row in range(3))]),
    (arrow_layout, [f"{row:08d}" for row in range(8)]),
    (folder_layout, [f"train/{number}.png" for number in range(8)]),
]


def rows_of(path: Path) -> layouts.Rows:
    source = opened(path)
    assert isinstance(source, RowSource)
    return source.rows


@pytest.mark.parametrize(("layout", "expected"), EXPECTED)
def test_every_layout_has_its_keys_and_their_shares(layout: Layout, expected: list[str], tmp_path: Path) -> None:
    layout(tmp_path, "train", list(range(8)))
    for _ in range(2):  # hashes are made, then found
        rows = rows_of(tmp_path / "train" if layout is arrow_layout else tmp_path)
        assert [rows.key(row) for row in range(len(rows))] == expected
        assert np.array_equal(rows.shares, key_shares(expected))
    for row in (-1, 8):
        with pytest.raises(IndexError, match=f"row {row} of a table of 8"):
            rows.key(row)


@pytest.mark.parametrize("layout", [layout for layout, _ in EXPECTED])
def test_keys_are_hashed_once(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout(tmp_path, "train", list(range(8)))
    first = opened(tmp_path)
    monkeypatch.setattr(keys_module, "key_hashes", lambda _: pytest.fail("keys were hashed again"))
    again = opened(tmp_path)
    assert (again.fingerprint, keys(again)) == (first.fingerprint, keys(first))


@pytest.mark.parametrize("part", [1, 2, 3, 8, 100])
def test_hashes_in_parts_are_those_of_the_whole(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "_PART", part)
    names = ["a", "b", "", "c", "ü", "d", "e", "f"]
    places = Places(("x/", "y/", "z/"), (3, 3, 8))  # one file is empty
    column = ColumnLabels.of(datasets.Dataset.from_dict({"uid": names}), "uid")
    assert np.array_equal(RowKeys.of(column).hashes, key_hashes(names))
    assert np.array_equal(RowKeys.of(places).hashes, key_hashes(places.between(0, 8)))
    assert places.between(2, 4) == ["x/00000002", "z/00000000"]


@pytest.mark.parametrize("saved", [False, True])
def test_other_keys_in_the_same_files_are_hashed_anew(saved: bool, tmp_path: Path) -> None:
    def found(uids: list[str]) -> str:
        columns = pictures(range(3)) | {"uid": uids}
        if saved:
            shutil.rmtree(tmp_path / "train", ignore_errors=True)
            datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "train")
        else:
            write_parquet(tmp_path / "train.parquet", columns)
        rows = rows_of(tmp_path)
        assert np.array_equal(rows.shares, key_shares(uids))
        return rows.fingerprint

    fingerprints = [found(uids) for uids in (["a", "b", "c"], ["a", "c", "b"], ["a", "b", "d"], ["a", "b", "c"])]
    assert len({*fingerprints}) == 3 and fingerprints[0] == fingerprints[3]


@pytest.mark.parametrize("saved", [False, True])
def test_rows_of_one_key_have_keys_of_their_own_and_are_held_out_together(saved: bool, tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = pictures(range(60)) | {"uid": [number % 20 for number in range(60)]}
    if saved:
        datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "pairs")
    else:
        write_parquet(tmp_path / "pairs" / "a.parquet", columns)
    train, held_out = (opened(tmp_path / "pairs", split, validation_share=0.3) for split in ("train", "validation"))
    assert len({*keys(train), *keys(held_out)}) == 60
    uids = [{number % 20 for number in numbers(part)} for part in (train, held_out)]
    assert uids[1] and not uids[0] & uids[1] and len(uids[0] | uids[1]) == 20
    assert [key for part in (train, held_out) for key in keys(part) if key.startswith("7 ")] == [
        f"7 (row {row})" for row in (7, 27, 47)
    ]


@pytest.mark.parametrize(("repeats", "led"), [(0, False), (5, False), (6, True)])
def test_files_number_their_rows_anew_where_a_tenth_repeats(repeats: int, led: bool, tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 30 - repeats)):
        uids = list(range(first, first + 30))
        write_parquet(tmp_path / f"train-{name}.parquet", pictures(range(30)) | {"uid": uids})
    rows = rows_of(tmp_path)
    found = [rows.key(row) for row in (0, 29, 30, 59)]
    assert len({rows.key(row) for row in range(60)}) == 60
    if led:
        assert found == ["train-a/0", "train-a/29", "train-b/24", "train-b/53"]
    else:
        last_of_a, first_of_b = (" (row 29)", " (row 30)") if repeats else ("", "")
        assert found == ["0", f"29{last_of_a}", f"{30 - repeats}{first_of_b}", f"{59 - repeats}"]


def test_a_picture_on_two_lines_is_two_pairs_of_one_split(tmp_path: Path) -> None:
    lines = [{"file_name": f"{number}.png", "text": f"{name} {number}"} for name in "ab" for number in range(20)]
    write_image_folder(tmp_path, lines)
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture(number)))
    train, held_out = (opened(tmp_path, split, validation_share=0.3) for split in ("train", "validation"))
    assert len({*keys(train), *keys(held_out)}) == 40
    assert not {*numbers(train)} & {*numbers(held_out)}
    write_image_folder(tmp_path, [{"file_name": "0.png", "text": 5}] * 2)
    with pytest.raises(DamagedCaption, match=r"^0\.png \(row 1\): caption is not text"):
        opened(tmp_path, validation_share=0.0)[1]


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    arrow_layout(tmp_path, "train", range(8))
    (Path(datasets.config.HF_DATASETS_CACHE) / "aimv2_lab").write_bytes(b"in the way")
    assert numbers(opened(tmp_path)) == list(range(8))


@pytest.mark.parametrize("layout", [parquet_layout, arrow_layout])
def test_shards_are_runs_of_rows_of_even_bytes(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout(tmp_path / "one", "train", list(range(40)))
    whole = opened(tmp_path / "one", validation_share=0.0)
    assert list(whole.shards) == [40]
    monkeypatch.setattr(layouts, "SHARD_BYTES", 4000)
    cut = opened(tmp_path / "one", validation_share=0.0)
    assert sum(cut.shards) == 40 and 1 < cut.shards[0] < 40 and {*cut.shards[:-1]} == {cut.shards[0]}
    assert cut.shards[-1] <= cut.shards[0]
    assert cut.fingerprint != whole.fingerprint
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    assert opened(tmp_path / "copy", validation_share=0.0).fingerprint == cut.fingerprint


def test_the_arrow_copy_of_a_table_has_few_batches(tmp_path: Path) -> None:
    """HF writes 100 pictures to a batch, and opening takes as long as there are batches."""
    write_parquet(tmp_path / "train.parquet", pictures([0]) | {"image": [b"x"] * 1000, "text": ["y"] * 1000}, False)
    rows = rows_of(tmp_path)
    assert isinstance(rows, layouts.TableRows) and len(rows.table.data.column("image").chunks) == 1
