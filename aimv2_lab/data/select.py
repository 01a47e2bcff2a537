"""Choose the rows of a web-scale metadata table that are worth downloading, before anything is downloaded.

Two stages, neither of which holds the table in memory: every input part is filtered by itself, which an interrupted
run does not repeat; then equal rows are dropped, other captions joined, and the kept rows written.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from aimv2_lab.data.buckets import joined, unique_rows
from aimv2_lab.data.files import WRITING, written_aside
from aimv2_lab.data.parquet import common_schema, parquet_files, read_tables, regrouped
from aimv2_lab.data.row_filters import RowFilter, basic_filters, filtered, thresholds, uid_filter
from aimv2_lab.data.uids import open_uid_list, uid_sum

SELECTION = "selection.json"
UNFINISHED = "unfinished"
ROWS_PER_PART = 500_000  # fifty shards of img2dataset, which reads a part whole
_ROWS_PER_GROUP = 100_000
_SETTINGS, _FINISHING = "settings.json", "finishing"


@dataclass(frozen=True)
class Selection:
    """Which rows of which table are kept, and where they go."""

    metadata: Path
    """A Parquet file, or a folder of them at any depth."""
    folder: Path
    """Where the kept rows go, as 00000.parquet …, and selection.json, which says how they were chosen."""
    uids: Path | None = None
    """Keep rows whose uid is listed here: a sorted .npy of type "u8,u8", as DFN's, or a text file, one uid a line."""
    uid_column: str = "uid"
    """What names a row; every table needs one, COYO's is id."""
    at_least: tuple[str, ...] = ()
    """Keep rows where a column holds so much, e.g. clip_similarity_vitl14=0.28. May be given several times."""
    at_most: tuple[str, ...] = ()
    """Keep rows where a column holds no more, e.g. nsfw_score_gantman=0.2. May be given several times."""
    basic: bool = False
    """DataComp's basic filter without its language test: 3 words, 6 characters, sides of 200 pixels, aspect 3."""
    text_column: str = "text"
    """The text that the basic filter reads."""
    width_column: str = "original_width"
    """The width that the basic filter reads, in pixels."""
    height_column: str = "original_height"
    """The height that the basic filter reads, in pixels."""
    unique: tuple[str, ...] = ()
    """Keep one row of those with an equal value here: a url, a picture's hash. May be given several times."""
    join: Path | None = None
    """A second table, Parquet like the first, with synthetic captions, say."""
    join_on: str = "uid"
    """The column that both tables share; FIRST=SECOND where its names differ."""
    join_columns: tuple[str, ...] = ()
    """The columns of the second table that are added; null where it has no such row. May be given several times."""

    def __post_init__(self) -> None:
        if bool(self.join) != bool(self.join_columns):
            raise ValueError("--join TABLE and --join-columns COLUMN belong together")
        if self.folder.resolve().is_relative_to(self.metadata.resolve()):
            raise ValueError(f"{self.folder} lies in {self.metadata}, which is read: name a folder outside it")
        self.thresholds()

    @property
    def shared(self) -> tuple[str, str]:
        """The column that rows are joined on, in the first and in the second table."""
        first, _, second = self.join_on.partition("=")
        return first, second or first

    def thresholds(self) -> list[RowFilter]:
        """Those of at_least and at_most. Raises ValueError for one that is no COLUMN=NUMBER."""
        return thresholds(self.at_least, self.at_most)

    def filters(self) -> list[RowFilter]:
        """All that is decided row by row. Raises ValueError for a uid list that is none."""
        by_uid = [uid_filter(self.uid_column, open_uid_list(self.uids))] if self.uids else []
        basic = basic_filters(self.text_column, self.width_column, self.height_column) if self.basic else []
        return [*by_uid, *self.thresholds(), *basic]


def select_rows(selection: Selection) -> dict[str, Any]:
    """Write the kept rows and selection.json, and return what that holds; goes on with an interrupted selection.

    selection.json names the inputs and their sizes, counts what each filter dropped, and holds the `uid_sum` of the
    kept rows. Raises MissingColumn, DamagedArchive (an input is cut off), FileExistsError (the folder holds something
    else), and ValueError (malformed or unsorted uids, no number where one is needed, no row kept).
    """
    files = parquet_files(selection.metadata)
    filters = selection.filters()
    named = [name for each in filters for name in each.columns]
    named += [selection.uid_column, *selection.unique, *(selection.shared[:1] if selection.join else ())]
    schema = common_schema(files, named)
    partners = _Partners(selection, schema) if selection.join else None
    settings = _settings(selection, files, partners)
    unfinished = _claimed(selection.folder, settings)
    counts = Counter({"rows": 0, **{each.name: 0 for each in filters}})
    parts = [unfinished / f"{number:05d}.parquet" for number in range(len(files))]
    for file, part in tqdm([*zip(files, parts, strict=True)], desc="filtering", unit="part", disable=None):
        if not _counts_of(part).exists():
            _filter_part(file, part, schema, filters, selection.uid_column)
        counts.update(json.loads(_counts_of(part).read_text()))
    tables = (table for part in parts for table in read_tables(part, schema))
    outcome = _finish(selection, unfinished, tables, partners, counts)
    if not outcome["kept"]:
        shutil.rmtree(unfinished)
        raise ValueError(f"no row is left: {outcome['rows']} rows, of which were dropped {outcome['dropped']}")
    return _published(selection.folder, unfinished, settings | outcome)


class _Partners:
    """The second table of a join."""

    def __init__(self, selection: Selection, schema: pa.Schema) -> None:
        assert selection.join is not None
        self.on = selection.shared
        self.files = parquet_files(selection.join)
        columns = [self.on[1], *selection.join_columns]
        whole = common_schema(self.files, columns)
        self.schema = pa.schema([whole.field(name) for name in dict.fromkeys(columns)])
        if twice := [name for name in selection.join_columns if name in schema.names]:
            raise ValueError(f"the first table has a column {', '.join(twice)} already: rename that of the second")

    def tables(self) -> Iterator[pa.Table]:
        return (table for file in self.files for table in read_tables(file, self.schema))


def _settings(selection: Selection, files: Sequence[Path], partners: _Partners | None) -> dict[str, Any]:
    """What a selection follows from, as JSON; where the outcome goes is no part of it."""
    chosen = {name: value for name, value in asdict(selection).items() if name != "folder"}
    lists = [selection.uids] if selection.uids else []
    inputs = [*files, *(partners.files if partners else ()), *lists]
    about = {"settings": chosen, "inputs": [{"file": str(file), "bytes": file.stat().st_size} for file in inputs]}
    return json.loads(json.dumps(about, default=str))


def _claimed(folder: Path, settings: dict[str, Any]) -> Path:
    """The folder for unfinished work, new or left by an interrupted selection with the same settings."""
    unfinished = folder / UNFINISHED
    if (unfinished / _SETTINGS).exists():
        before, now = json.loads((unfinished / _SETTINGS).read_text()), settings["settings"]
        if before != settings:
            changed = ", ".join(name for name in now if before["settings"].get(name) != now[name]) or "inputs"
            raise ValueError(f"{folder} holds an unfinished selection with other {changed}: delete it, or name another")
    elif folder.exists() and not _is_unclaimed(folder):
        raise FileExistsError(f"{folder} is not empty: name another folder, or clear this one first")
    with written_aside(unfinished / _SETTINGS) as aside:
        aside.write_text(json.dumps(settings))
    return unfinished


def _is_unclaimed(folder: Path) -> bool:
    """Whether a folder is empty, or holds no more than a selection that was killed before its settings were written."""
    inside = [path for path in folder.iterdir() if path != folder / UNFINISHED]
    begun = (folder / UNFINISHED).iterdir() if (folder / UNFINISHED).is_dir() else ()
    return not inside and all(path.name.startswith(WRITING) for path in begun)


def _counts_of(part: Path) -> Path:
    """What was counted in a part; written last, so that it also says that the part is whole."""
    return part.with_suffix(".json")


def _filter_part(file: Path, kept: Path, schema: pa.Schema, filters: Sequence[RowFilter], uid_column: str) -> None:
    counts = Counter[str]()

    def rows() -> Iterator[pa.Table]:
        for table in read_tables(file, schema):
            counts["rows"] += table.num_rows
            table = filtered(table, filters, counts)
            if table[uid_column].null_count:
                raise ValueError(f"a row has no {uid_column}")
            yield table

    try:
        with written_aside(kept) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
            for table in regrouped(rows(), _ROWS_PER_GROUP):
                writer.write_table(table)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    with written_aside(_counts_of(kept)) as aside:
        aside.write_text(json.dumps(counts))


def _finish(
    selection: Selection,
    unfinished: Path,
    tables: Iterator[pa.Table],
    partners: _Partners | None,
    counts: Counter[str],
) -> dict[str, Any]:
    """Drop equal rows, join, and write the parts, all aside."""
    work = unfinished / _FINISHING
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for column in selection.unique:
        tables = unique_rows(tables, column, work, counts)
    found = Counter[str]()
    if partners:
        tables = joined(tables, partners.tables(), partners.on, work, found)
    kept, uids = 0, 0
    for number, table in enumerate(regrouped(tables, ROWS_PER_PART)):
        pq.write_table(table, work / f"{number:05d}.parquet", compression="zstd", row_group_size=_ROWS_PER_GROUP)
        kept += table.num_rows
        uids = (uids + uid_sum(map(str, table[selection.uid_column].to_pylist()))) % 2**256
    rows = counts.pop("rows")
    about = {"rows": rows, "dropped": dict(counts), "kept": kept, "uid_sum": f"{uids:064x}"}
    return about | ({"joined": dict(found)} if partners else {})


def _published(folder: Path, unfinished: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Move the parts to their place and write selection.json, whose presence says that all is done."""
    for part in sorted((unfinished / _FINISHING).glob("*.parquet")):
        part.replace(folder / part.name)
    with written_aside(folder / SELECTION) as aside:
        aside.write_text(json.dumps(about, indent=1) + "\n")
    shutil.rmtree(unfinished)
    return about
