"""Open picture-caption pairs wherever they are: the generated world, files on disk in five layouts, a hub data set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import datasets
import numpy as np

from aimv2_lab.data.columns import Columns, find_columns, read_captions, read_image
from aimv2_lab.data.files import root_of, visible_files
from aimv2_lab.data.layouts import METADATA, FolderRows, Rows, TableRows, saved_tables
from aimv2_lab.data.limits import no_index, rows_within
from aimv2_lab.data.reading import with_retries
from aimv2_lab.data.records import Pair, Source
from aimv2_lab.data.tars.archive import TAR_SUFFIXES, tar_files
from aimv2_lab.data.tars.rows import IndexedRows
from aimv2_lab.data.world.source import ShapeSource, open_world
from aimv2_lab.recipes import CLASSES, DataRecipe

Split = Literal["train", "validation", "test"]

_SPLIT_NAMES = re.compile(
    r"(?P<train>train(ing)?)|(?P<validation>val(id(ation)?)?)|(?P<test>test(ing)?)", re.IGNORECASE
)
_LAYOUTS = (
    "WebDataset shards (.tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst, .tar.lz4), an image folder with metadata.jsonl, "
    "Parquet (.parquet), or Arrow as datasets.save_to_disk writes it"
)


@dataclass(frozen=True, eq=False)
class RowSource:
    """Pairs from rows: those at `indices`, read with `columns`. Implements Source."""

    name: str
    fingerprint: str
    rows: Rows
    columns: Columns
    indices: np.ndarray  # int64, rows of this split
    folder: Path | None = None  # which pictures named by relative paths lie under

    @cached_property
    def shards(self) -> np.ndarray:
        """How many rows of this split lie in each shard; one number where any row is read as fast as any other."""
        return np.diff(np.searchsorted(self.indices, self.rows.shard_ends), prepend=0)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Pair:
        """The pair; raises DamagedImage or DamagedCaption where it has none that can be used, OSError as `with_retries`
        does.
        """
        row_number = int(self.indices[index])
        key = self.rows.key(row_number)
        row = with_retries(lambda: self.rows[row_number], f"{key} of {self.name}")
        return Pair(key, read_image(row, self.columns, self.folder, key), *read_captions(row, self.columns, key))


def open_source(spec: str, split: Split, data_recipe: DataRecipe, image_size: int) -> Source:
    """Open the training, validation or test pairs of `world:PRESET`, a folder or file, or a hub data set.

    A hub name is `owner/name`, with `:configuration` after it where there are several. Files and folders whose names
    begin with train, val, valid, validation or test tell the split; files without such a name are training data beside
    named validation files. Where nothing tells, `data.validation_share` of the pairs are held out, chosen by a hash of
    the key; a test split is never made so. `data.at_least` and `data.at_most` leave out rows by the columns of shards'
    index (see `rows_within`). Shards are read by an index beside them (see `open_index`). `image_size` is for the
    generated world, whose pictures are made to size. Raises FileNotFoundError, MissingColumn, DamagedArchive, or
    ValueError where a split has no pairs.
    """
    if not spec:
        raise ValueError("data.source is empty: give a folder, a file, a hub data set or world:easy")
    if spec.startswith("world:"):
        if data_recipe.at_least or data_recipe.at_most:
            raise no_index(data_recipe, spec)
        world = open_world(spec, split, image_size)
        return ShapeSource(world) if data_recipe.tokenizer == CLASSES else world
    if Path(spec).expanduser().exists():
        return _open_path(Path(spec).expanduser().absolute(), split, data_recipe)
    if spec.startswith((".", "/", "~")) or spec.count("/") > 1 or spec.lower().endswith((*TAR_SUFFIXES, ".parquet")):
        raise FileNotFoundError(f"data.source {spec!r}: no such file or folder (seen from {Path.cwd()})")
    return _open_hub(spec, split, data_recipe)


def _open_path(path: Path, split: Split, data_recipe: DataRecipe) -> Source:
    if parts := saved_tables(path):
        return _open_saved(parts, path, split, data_recipe)
    root = root_of(path)
    layout, files = _files(path)
    chosen, held_out = _split_files(files, root if path.is_dir() else None, split)
    rows = layout.open(chosen, path)
    stamps = [f"{file.relative_to(root)} {file.stat().st_size}" for file in chosen]
    return _source(rows, path.name or str(path), split, data_recipe, held_out, stamps, root)


def _open_hub(spec: str, split: Split, data_recipe: DataRecipe) -> Source:
    name, _, configuration = spec.partition(":")
    try:
        loaded = datasets.load_dataset(name, configuration or None)
    except (ValueError, OSError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(
            f"data.source {spec!r} is no file or folder here (seen from {Path.cwd()}) and could not be opened as a hub "
            f"data set: {error}"
        ) from error
    part, held_out = _choose_part([str(part) for part in loaded], split, spec)
    table = loaded[part]
    stamps = [spec, str(len(table)), str(table.features), str(table.info.dataset_size)]
    return _source(TableRows.of(table), name, split, data_recipe, held_out, stamps, None)


def _open_saved(parts: Mapping[str, Path], path: Path, split: Split, data_recipe: DataRecipe) -> Source:
    part, held_out = _choose_part(parts, split, str(path))
    stamps = [f"{file.name} {file.stat().st_size}" for file in sorted(parts[part].glob("*.arrow"))]
    return _source(TableRows.saved(parts[part]), path.name, split, data_recipe, held_out, stamps, None)


def _choose_part(parts: Iterable[str], split: Split, spec: str) -> tuple[str, bool]:
    """The named part of a data set to read for a split, and whether the split is to be held out of it by hash."""
    named = {_named_split([part]): part for part in parts}
    wanted, held_out = (split, False) if split == "test" or "validation" in named else ("train", True)
    if wanted not in named:
        raise ValueError(f"data.source {spec!r} has the splits {', '.join(parts)}: none is for {wanted}")
    return named[wanted], held_out


def _remedy(split: Split) -> str:
    """What may be done about a split that is empty because nothing is held out for it, or all."""
    return "name files after their splits (train…, validation…), or change it" if split == "validation" else "change it"


def _source(
    rows: Rows,
    name: str,
    split: Split,
    data_recipe: DataRecipe,
    held_out: bool,
    stamps: Sequence[str],
    folder: Path | None,
) -> RowSource:
    """Choose columns and rows, and take the fingerprint of what was chosen."""
    columns = find_columns(rows.names, data_recipe, name)
    within = rows_within(rows, data_recipe, name)
    rows = rows.only([*columns.images, *columns.captions, *columns.synthetic])
    chosen = within
    if held_out:
        chosen = within & ((rows.shares < data_recipe.validation_share) == (split == "validation"))
    indices = np.flatnonzero(chosen)
    if not len(indices):
        limits = f" within data.at_least and data.at_most (of {len(rows)})" if not within.all() else ""
        raise ValueError(
            f"{name}: none of {np.count_nonzero(within)} pairs{limits} is in the {split} split"
            + (f" with data.validation_share = {data_recipe.validation_share}: {_remedy(split)}" if held_out else "")
        )
    about = [*stamps, rows.fingerprint, repr(columns)]
    fingerprint = blake2b("\n".join(about).encode("utf-8", "surrogatepass"), digest_size=16)
    fingerprint.update(np.ascontiguousarray(indices, "<i8").data)
    return RowSource(f"{name}/{split}", fingerprint.hexdigest(), rows, columns, indices, folder)


def _files(path: Path) -> tuple[type[IndexedRows] | type[FolderRows] | type[TableRows], list[Path]]:
    """The layout of a folder or file, and its data files in order.

    Shards go before Parquet: beside its shards img2dataset writes Parquet files that hold no pictures.
    """
    if shards := tar_files(path):
        return IndexedRows, shards
    visible = visible_files(path)
    lists = [file for file in visible if file.name == METADATA]
    if lists:
        return FolderRows, lists
    tables = [file for file in visible if file.suffix.lower() == ".parquet"]
    if tables:
        return TableRows, tables
    kinds = sorted({file.suffix or file.name for file in visible if file.is_file()})
    raise ValueError(f"data.source {path}: expected {_LAYOUTS}; found {', '.join(kinds[:8]) or 'nothing'}")


def _split_files(files: Sequence[Path], root: Path | None, split: Split) -> tuple[list[Path], bool]:
    """The files to read for a split, and whether the split is to be held out of them by hash.

    Raises ValueError where names leave it open: some files named for training and others not named at all.
    """
    if root is None:  # one file, given by name
        if split == "test":
            raise ValueError(f"{files[0]} is one file: a test split is files whose names begin with test, in a folder")
        return list(files), True
    named: dict[str, list[Path]] = {"train": [], "validation": [], "test": [], "": []}
    for file in files:
        named[_named_split(file.relative_to(root).parts)].append(file)
    if named["train"] and named[""]:
        raise ValueError(
            f"{named[''][0]} names no split while {named['train'][0]} does: begin its name, or its folder's, with "
            "train, val or test"
        )
    held_out = split != "test" and not named["validation"]
    chosen = named[split] if split != "train" and not held_out else named["train"] or named[""]
    if not chosen:
        raise ValueError(f"{root} has no {split} files: it holds {', '.join(file.name for file in files[:5])} …")
    return chosen, held_out


def _named_split(parts: Sequence[str]) -> str:
    """The split that a file's name or else its folders' names begin with; "" where none does."""
    for part in reversed(parts):
        found = _SPLIT_NAMES.match(part)
        if found and not part[found.end() :][:1].isalpha():
            return str(found.lastgroup)
    return ""
