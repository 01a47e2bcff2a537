"""From a metadata table to shards that can be trained on: what is kept, what is counted, and what is refused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aimv2_lab.data import select as select_module
from aimv2_lab.data.columns import MissingColumn
from aimv2_lab.data.damage import DamagedArchive
from aimv2_lab.data.row_filters import filtered
from aimv2_lab.data.select import SELECTION, UNFINISHED, Selection, select_rows
from aimv2_lab.data.uids import uid_sum
from aimv2_lab.data.world.samples import world_sample
from aimv2_lab.data.writers import Sample, write_img2dataset
from tests.data.layouts import opened
from tests.data.metadata_tables import coyo_table, datacomp_table, recap_table, uid, write_table, write_uid_list


def kept_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for part in sorted(folder.glob("*.parquet")) for row in pq.read_table(part).to_pylist()]


def datacomp(folder: Path, parts: int = 3, rows: int = 200) -> pa.Table:
    """Metadata parts as DataComp's, one in a folder of its own; returns all rows."""
    tables = [datacomp_table(rows, seed) for seed in range(parts)]
    for number, table in enumerate(tables):
        write_table(folder / ("deep" if number == 1 else "") / f"part{number}.parquet", table, row_group_size=70)
    order = [1, *(number for number in range(parts) if number != 1)] if parts > 1 else [0]  # deep/ comes first
    return pa.concat_tables([tables[number] for number in order])


def test_rows_named_by_a_uid_list_are_kept_in_their_order(tmp_path: Path) -> None:
    table = datacomp(tmp_path / "metadata")
    wanted = {row["uid"] for row in table.to_pylist()[::3]}
    uids = write_uid_list(tmp_path / "list.npy", [*wanted, uid(5_000_000)])
    found = select_rows(Selection(tmp_path / "metadata", tmp_path / "kept", uids))
    expected = [row for row in table.to_pylist() if row["uid"] in wanted]
    assert kept_rows(tmp_path / "kept") == expected and len(expected) == 200
    assert found["uid_sum"] == f"{uid_sum(wanted):064x}"
    assert (found["rows"], found["kept"], found["dropped"]) == (600, 200, {"not in the uid list": 400})
    stored = json.loads((tmp_path / "kept" / SELECTION).read_text())
    assert stored == found and stored["settings"]["uids"] == str(uids)
    sizes = {entry["file"]: entry["bytes"] for entry in stored["inputs"]}
    assert sizes == {str(path): path.stat().st_size for path in [*(tmp_path / "metadata").rglob("*.parquet"), uids]}
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["00000.parquet", SELECTION]


def test_coyo_is_filtered_by_its_scores_and_rid_of_repetitions(tmp_path: Path) -> None:
    tables = [coyo_table(400, seed) for seed in range(2)]
    for number, table in enumerate(tables):
        write_table(tmp_path / "metadata" / f"part-{number:05d}.snappy.parquet", table, compression="snappy")
    selection = Selection(
        tmp_path / "metadata",
        tmp_path / "kept",
        uid_column="id",
        at_least=("clip_similarity_vitl14=0.22",),
        at_most=("nsfw_score_gantman=0.4", "watermark_score=0.9"),
        unique=("url", "image_phash"),
    )
    found = select_rows(selection)
    rows = [row for table in tables for row in table.to_pylist()]
    good = [
        row
        for row in rows
        if row["clip_similarity_vitl14"] >= 0.22 and row["nsfw_score_gantman"] <= 0.4 and row["watermark_score"] <= 0.9
    ]
    kept = kept_rows(tmp_path / "kept")
    assert {row["id"] for row in kept} < {row["id"] for row in good} and all(row in good for row in kept)
    for column in ("url", "image_phash"):
        assert len({row[column] for row in kept}) == len(kept)
    assert {row["url"] for row in kept} <= {row["url"] for row in good}
    assert len({row["url"] for row in good}) == len(good) - found["dropped"]["equal url"]
    assert [*found["dropped"]] == [
        "not clip_similarity_vitl14 >= 0.22",
        "not nsfw_score_gantman <= 0.4",
        "not watermark_score <= 0.9",
        "equal url",
        "equal image_phash",
    ]
    assert min(found["dropped"].values()) > 0
    assert found["rows"] - sum(found["dropped"].values()) == found["kept"] == len(kept)


def test_synthetic_captions_are_joined(tmp_path: Path) -> None:
    table = datacomp(tmp_path / "metadata")
    recap = recap_table(table)
    write_table(tmp_path / "recap" / "train-0.parquet", recap.slice(0, 100))
    write_table(tmp_path / "recap" / "train-1.parquet", recap.slice(100))
    selection = Selection(tmp_path / "metadata", tmp_path / "kept", basic=True)
    plain = select_rows(selection)
    joined = select_rows(
        replace(
            selection,
            folder=tmp_path / "joined",
            join=tmp_path / "recap",
            join_on="sha256",
            join_columns=("re_caption", "re_length"),
        )
    )
    captions = {row["sha256"]: row["re_caption"] for row in reversed(recap.to_pylist())}
    before, after = (sorted(kept_rows(tmp_path / name), key=lambda row: str(row["uid"])) for name in ("kept", "joined"))
    assert [row | {"re_caption": captions.get(row["sha256"])} for row in before] == [
        {name: value for name, value in row.items() if name != "re_length"} for row in after
    ]
    assert joined["uid_sum"] == plain["uid_sum"] and joined["dropped"] == plain["dropped"]
    has = sum(row["sha256"] in captions for row in before)
    assert joined["joined"]["joined"] == has and 0 < has < len(before)
    assert joined["joined"]["without a partner"] == len(before) - has
    again = Selection(tmp_path / "joined", tmp_path / "described", at_least=("re_length=1",))
    assert select_rows(again)["kept"] == has


def shards_of(selected: Path, folder: Path) -> None:
    """What img2dataset would make of selected rows, with pictures of the generated world in place of the urls'."""
    folder.mkdir()
    for number, part in enumerate(sorted(selected.glob("*.parquet"))):
        write_img2dataset(folder, f"{number:05d}", downloads(pq.read_table(part).to_pylist(), number))


def downloads(rows: list[dict[str, Any]], shard: int) -> Iterator[Sample]:
    for place, row in enumerate(rows):
        made = world_sample("easy", 0, "train", place, 16)
        jpeg = None if place % 10 == 7 else made.jpeg
        about = {name: row[name] for name in ("uid", "url", "re_caption")}
        yield Sample(f"{shard:05d}{place:04d}", jpeg, 16, 16, row["text"], about)


def test_from_metadata_to_pairs_that_can_be_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select_module, "ROWS_PER_PART", 40)
    table = datacomp(tmp_path / "metadata")
    write_table(tmp_path / "recap.parquet", recap_table(table))
    uids = write_uid_list(tmp_path / "dfn.npy", table["uid"].to_pylist()[::2])
    selection = Selection(
        tmp_path / "metadata",
        tmp_path / "selected",
        uids,
        basic=True,
        unique=("url",),
        join=tmp_path / "recap.parquet",
        join_on="sha256",
        join_columns=("re_caption",),
    )
    found = select_rows(selection)
    shards_of(tmp_path / "selected", tmp_path / "shards")
    source = opened(tmp_path / "shards", caption_column="txt,json.re_caption", validation_share=0.0)
    rows = kept_rows(tmp_path / "selected")
    assert found["kept"] == len(rows) > 80
    expected = {
        f"{number // 40:05d}/{number // 40:05d}{number % 40:04d}": row
        for number, row in enumerate(rows)
        if number % 40 % 10 != 7
    }
    pairs = [source[index] for index in range(len(source))]
    assert [pair.key for pair in pairs] == [*expected]
    for pair in pairs:
        row = expected[pair.key]
        assert pair.captions == tuple(text for text in (row["text"], row["re_caption"]) if text)
        assert row["uid"] in table["uid"].to_pylist()[::2]
    assert {len(pair.captions) for pair in pairs} == {1, 2}
    listed = [
        row for part in sorted((tmp_path / "shards").glob("*.parquet")) for row in pq.read_table(part).to_pylist()
    ]
    assert uid_sum(row["uid"] for row in listed) == int(found["uid_sum"], 16)
    assert {row["uid"] for row in listed if row["status"] == "success"} == {row["uid"] for row in expected.values()}


def interrupted_at(part: int, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Make the selection stop before it filters that part; returns the files it will have filtered."""
    seen: list[Path] = []
    filter_part = select_module._filter_part

    def stop(file: Path, *others: Any) -> None:
        if len(seen) == part:
            raise KeyboardInterrupt
        seen.append(file)
        filter_part(file, *others)

    monkeypatch.setattr(select_module, "_filter_part", stop)
    return seen


def test_an_interrupted_selection_goes_on_with_the_parts_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datacomp(tmp_path / "metadata")
    selection = Selection(tmp_path / "metadata", tmp_path / "kept", basic=True, unique=("url",))
    whole = replace(selection, folder=tmp_path / "whole")
    select_rows(whole)
    with monkeypatch.context() as patched:
        seen = interrupted_at(2, patched)
        with pytest.raises(KeyboardInterrupt):
            select_rows(selection)
    assert len(seen) == 2 and not [*(tmp_path / "kept").glob("*.parquet")]
    (tmp_path / "kept" / UNFINISHED / "writing-1234-00002.parquet").write_bytes(b"half a file")
    seen = interrupted_at(99, monkeypatch)
    select_rows(selection)
    assert [file.name for file in seen] == ["part2.parquet"]
    files = [{path.name: path.read_bytes() for path in each.folder.iterdir()} for each in (selection, whole)]
    assert files[0] == files[1]


@pytest.mark.parametrize("stage", ["unique_rows", "joined"])
def test_an_interruption_while_finishing_leaves_no_parts(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = datacomp(tmp_path / "metadata")
    write_table(tmp_path / "recap.parquet", recap_table(table))
    join: dict[str, Any] = {"join": tmp_path / "recap.parquet", "join_on": "sha256", "join_columns": ("re_caption",)}
    selection = Selection(tmp_path / "metadata", tmp_path / "kept", unique=("url",), **join)
    ours = getattr(select_module, stage)

    def stop(*arguments: Any) -> Iterator[pa.Table]:
        yield next(ours(*arguments))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(select_module, stage, stop)
        with pytest.raises(KeyboardInterrupt):
            select_rows(selection)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [UNFINISHED]
    select_rows(selection)
    select_rows(replace(selection, folder=tmp_path / "whole"))
    assert kept_rows(tmp_path / "kept") == kept_rows(tmp_path / "whole")


def test_an_unfinished_selection_is_not_gone_on_with_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datacomp(tmp_path / "metadata")
    selection = Selection(tmp_path / "metadata", tmp_path / "kept", basic=True)
    with monkeypatch.context() as patched:
        interrupted_at(1, patched)
        with pytest.raises(KeyboardInterrupt):
            select_rows(selection)
    with pytest.raises(ValueError, match="unfinished selection with other basic, unique"):
        select_rows(replace(selection, basic=False, unique=("url",)))
    write_table(tmp_path / "metadata" / "part3.parquet", datacomp_table(20, 3))
    with pytest.raises(ValueError, match="unfinished selection with other inputs"):
        select_rows(selection)


def test_a_selection_killed_before_its_settings_were_written_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datacomp(tmp_path / "metadata")
    selection = Selection(tmp_path / "metadata", tmp_path / "kept", basic=True)
    left = tmp_path / "kept" / UNFINISHED
    left.mkdir(parents=True)
    (left / "writing-12345678-settings.json").write_text("{")
    select_rows(selection)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["00000.parquet", SELECTION]
    (tmp_path / "mine" / UNFINISHED).mkdir(parents=True)
    (tmp_path / "mine" / UNFINISHED / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        select_rows(replace(selection, folder=tmp_path / "mine"))
    assert (tmp_path / "mine" / UNFINISHED / "thesis.tex").exists()


def test_memory_does_not_grow_with_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aimv2_lab.data.parquet.BATCH", 200)
    monkeypatch.setattr(select_module, "_ROWS_PER_GROUP", 400)
    monkeypatch.setattr(select_module, "ROWS_PER_PART", 400)
    most = 0

    def measured(table: pa.Table, *others: Any) -> pa.Table:
        nonlocal most
        most = max(most, pa.total_allocated_bytes())
        return filtered(table, *others)

    monkeypatch.setattr(select_module, "filtered", measured)
    peaks = []
    for rows in (2_000, 16_000):
        write_table(tmp_path / f"{rows}.parquet", datacomp_table(rows), row_group_size=500)
        before, most = pa.total_allocated_bytes(), 0
        select_rows(Selection(tmp_path / f"{rows}.parquet", tmp_path / str(rows), basic=True))
        peaks.append(most - before)
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"uid_column": "id"}, MissingColumn, r"part1\.parquet has no column id; found: uid, url, text"),
        ({"at_least": ("clip=0.3",)}, MissingColumn, "has no column clip; found: "),
        ({"unique": ("phash",)}, MissingColumn, "has no column phash"),
        ({"basic": True, "width_column": "width"}, MissingColumn, "has no column width"),
        ({"at_least": ("text=0.3",)}, ValueError, r"part1\.parquet: column text holds string, not numbers"),
        ({"at_least": ("original_width=9999",)}, ValueError, "no row is left: 600 rows"),
        ({"metadata": Path("nowhere")}, FileNotFoundError, "nowhere: no Parquet files"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], error: type[Exception], message: str, tmp_path: Path) -> None:
    datacomp(tmp_path / "metadata")
    with pytest.raises(error, match=message):
        select_rows(replace(Selection(tmp_path / "metadata", tmp_path / "kept"), **changes))
    assert not (tmp_path / "kept" / SELECTION).exists()


def test_bad_joins_are_refused(tmp_path: Path) -> None:
    table = datacomp(tmp_path / "metadata")
    write_table(tmp_path / "recap.parquet", recap_table(table))
    selection = Selection(
        tmp_path / "metadata", tmp_path / "kept", join=tmp_path / "recap.parquet", join_columns=("re_caption",)
    )
    with pytest.raises(MissingColumn, match=r"recap\.parquet has no column uid; found: url, re_caption"):
        select_rows(selection)
    with pytest.raises(ValueError, match="the first table has a column url already"):
        select_rows(replace(selection, join_on="sha256", join_columns=("re_caption", "url")))
    with pytest.raises(ValueError, match="--join TABLE and --join-columns COLUMN belong together"):
        replace(selection, join_columns=())
    assert select_rows(replace(selection, join_on="text=org_caption"))["joined"]["joined"] > 300


def test_a_malformed_uid_in_the_table_is_named_with_its_file(tmp_path: Path) -> None:
    table = datacomp_table(50)
    wrong = pa.array(["not-a-uid" if row == 30 else uid(row) for row in range(50)])
    write_table(tmp_path / "metadata" / "a.parquet", table.set_column(0, "uid", wrong))
    uids = write_uid_list(tmp_path / "list.npy", [uid(1)])
    with pytest.raises(ValueError, match=r"a\.parquet: 'not-a-uid' is no uid"):
        select_rows(Selection(tmp_path / "metadata", tmp_path / "kept", uids))


def test_a_row_without_a_uid_is_refused(tmp_path: Path) -> None:
    table = datacomp_table(50)
    column = pa.array([None if row == 30 else uid(row) for row in range(50)])
    write_table(tmp_path / "metadata" / "a.parquet", table.set_column(0, "uid", column))
    with pytest.raises(ValueError, match=r"a\.parquet: a row has no uid"):
        select_rows(Selection(tmp_path / "metadata", tmp_path / "kept"))


def test_a_truncated_part_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    datacomp(tmp_path / "metadata")
    last = tmp_path / "metadata" / "part2.parquet"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.raises(DamagedArchive, match=r"part2\.parquet is no whole Parquet"):
        select_rows(Selection(tmp_path / "metadata", tmp_path / "kept"))
    assert not (tmp_path / "kept").exists()


def test_parts_may_differ_in_the_width_of_a_type_but_not_in_columns(tmp_path: Path) -> None:
    table = datacomp_table(50)
    narrow = table.set_column(3, "original_width", table["original_width"].cast(pa.int32()))
    write_table(tmp_path / "metadata" / "a.parquet", narrow)
    write_table(tmp_path / "metadata" / "b.parquet", datacomp_table(50, 1).select(table.column_names[::-1]))
    assert select_rows(Selection(tmp_path / "metadata", tmp_path / "kept"))["kept"] == 100
    assert pq.read_schema(tmp_path / "kept" / "00000.parquet").field("original_width").type == pa.int64()
    write_table(tmp_path / "metadata" / "c.parquet", table.drop_columns(["face_bboxes"]))
    with pytest.raises(MissingColumn, match=r"c\.parquet has no column face_bboxes"):
        select_rows(Selection(tmp_path / "metadata", tmp_path / "other"))
    texts = table.set_column(3, "original_width", table["original_width"].cast(pa.string()))
    write_table(tmp_path / "metadata" / "c.parquet", texts)
    with pytest.raises(ValueError, match="differ in the type of a column"):
        select_rows(Selection(tmp_path / "metadata", tmp_path / "other"))


def test_nothing_is_written_over_or_into_the_table(tmp_path: Path) -> None:
    datacomp(tmp_path / "metadata")
    selection = Selection(tmp_path / "metadata", tmp_path / "kept")
    select_rows(selection)
    with pytest.raises(FileExistsError, match="not empty"):
        select_rows(selection)
    with pytest.raises(ValueError, match="which is read: name a folder outside it"):
        Selection(tmp_path / "metadata", tmp_path / "metadata" / "kept")
