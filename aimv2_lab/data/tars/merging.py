"""Putting the parts of all shards together into one index."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from aimv2_lab.data.files import WRITING, written_aside
from aimv2_lab.data.tars.index import (
    COLUMNS,
    DAMAGE,
    FORMAT_VERSION,
    MANIFEST,
    PARTS,
    SAMPLE,
    UNPACKED,
    Manifest,
    Shard,
    StaleIndex,
    TarIndex,
    shards_fingerprint,
)
from aimv2_lab.data.tars.job import ShardJob
from aimv2_lab.data.tars.parts import MEMBER, Part, check_extensions, read_notes

_ARRAYS = "arrays-"
_ABANDONED = 24 * 3600  # seconds after which nobody is still writing a file; our choice


def merge_parts(data: Path, folder: Path, jobs: Sequence[ShardJob], clean: bool) -> TarIndex:
    """The index of shards all of which have parts; the one that there is where it holds the same.

    With `clean`, which is for whoever keeps other processes out, what is no longer needed goes, but for the arrays of
    the index before, from which a run may be reading. Raises ValueError for a column that no sample has, and for more
    extensions than an index can number.
    """
    manifest = _manifest(jobs)
    index = _same(data, folder, manifest)
    if index is None:
        index = TarIndex(data, folder, manifest)
        _write(index, jobs)
    if clean:
        _clean(index, jobs)
    return index


def _manifest(jobs: Sequence[ShardJob]) -> Manifest:
    all_notes = [read_notes(job.part) for job in jobs]
    extensions = tuple(dict.fromkeys(name for notes in all_notes for name in notes.extensions))
    check_extensions(extensions, str(jobs[0].root))
    shards = list[Shard]()
    for job, notes in zip(jobs, all_notes, strict=True):
        first = shards[-1].first + shards[-1].samples if shards else 0
        sizes = (job.size, job.unpacked, job.tar.stat().st_size if job.unpacked else job.size)
        shards.append(Shard(job.name, *sizes, first, notes.samples, notes.pairs, notes.everything))

    def total(name: str) -> int:
        return sum(getattr(notes, name) for notes in all_notes)

    return Manifest(
        version=FORMAT_VERSION,
        fingerprint=shards_fingerprint(shards),
        shards=tuple(shards),
        samples=total("samples"),
        members=total("members"),
        key_bytes=total("key_bytes"),
        extensions=extensions,
        columns=jobs[0].columns,
        checked=jobs[0].check,
        damaged=sum(len(notes.damage) for notes in all_notes),
        passed_over=total("passed_over"),
        arrays=f"{_ARRAYS}{uuid4().hex[:12]}",
    )


def _same(data: Path, folder: Path, manifest: Manifest) -> TarIndex | None:
    """The index that is there, if it is whole and holds what `manifest` says."""
    stored = Manifest.read(folder)
    if stored is None or stored != replace(manifest, arrays=stored.arrays):
        return None
    index = TarIndex(data, folder, stored)
    try:
        index.check_arrays()
    except StaleIndex:
        return None
    return index


def _write(index: TarIndex, jobs: Sequence[ShardJob]) -> None:
    """Write the arrays, and then the manifest that makes them the index."""
    target = index.folder / index.manifest.arrays
    (target / COLUMNS).mkdir(parents=True)
    try:
        _fill(target, index.manifest, jobs)
        _refuse_empty_columns(index)
    except BaseException:
        shutil.rmtree(target)
        raise
    with written_aside(index.folder / MANIFEST) as aside:
        aside.write_text(index.manifest.to_json())


def _fill(target: Path, manifest: Manifest, jobs: Sequence[ShardJob]) -> None:
    """Write every array at its full length, shard after shard; one part is in memory at a time."""
    per_sample: dict[str, npt.DTypeLike] = {"samples": SAMPLE, "key_ends": "<u8"}
    per_sample |= {f"{COLUMNS}/{name}": "<f8" for name in manifest.columns}
    kinds = {name: (kind, (manifest.samples,)) for name, kind in per_sample.items()}
    kinds |= {"members": (MEMBER, (manifest.members,)), "key_bytes": ("u1", (manifest.key_bytes,))}
    arrays = {name: open_memmap(target / f"{name}.npy", "w+", *kind) for name, kind in kinds.items()}
    filled = dict.fromkeys(arrays, 0)
    with (target / DAMAGE).open("w") as damage:
        for shard, job in enumerate(jobs):
            part = Part.load(job.part)
            damage.writelines(json.dumps(asdict(found)) + "\n" for found in part.notes.damage)
            rows = _rows(part, shard, filled["members"], filled["key_bytes"], manifest)
            for name, values in rows.items():
                arrays[name][filled[name] : filled[name] + len(values)] = values
                filled[name] += len(values)
    for array in arrays.values():
        array.flush()


def _rows(part: Part, shard: int, first_member: int, first_key_byte: int, manifest: Manifest) -> dict[str, np.ndarray]:
    """What one shard adds to every array."""
    stored = part.arrays
    samples = np.zeros(len(stored.counts), dtype=SAMPLE)
    samples["first_member"] = first_member + np.cumsum(stored.counts, dtype=np.uint64) - stored.counts
    samples["members"], samples["key_hash"], samples["shard"] = stored.counts, stored.key_hashes, shard
    members = stored.members.copy()
    numbers = np.array([manifest.extensions.index(name) for name in part.notes.extensions], dtype=np.uint16)
    members["extension"] = numbers[members["extension"]]
    rows = {"samples": samples, "members": members, "key_bytes": stored.key_bytes}
    rows |= {f"{COLUMNS}/{name}": part.columns[name] for name in manifest.columns}
    return rows | {"key_ends": first_key_byte + stored.key_ends}


def _refuse_empty_columns(index: TarIndex) -> None:
    for name in index.manifest.columns:
        if index.manifest.samples and not np.isfinite(index.column(name)).any():
            raise ValueError(
                f"no sample of {index.data} has a number under {name}, in its json or in the Parquet file beside its "
                "shard: leave it out of --columns, or name it as it is there (inside others by a dotted path)"
            )


def _clean(index: TarIndex, jobs: Sequence[ShardJob]) -> None:
    """Remove parts and unpacked tars of shards that are gone or were replaced, and arrays older than the last ones.

    A file that is being written stays for a day: a lock may hold on one machine of several alone.
    """
    kept = {path for job in jobs for path in (job.part, job.tar)}
    for folder in (PARTS, UNPACKED):
        for file in (index.folder / folder).rglob("*"):
            if file.is_file() and file not in kept and not _is_being_written(file):
                file.unlink()
    others = [path for path in index.folder.glob(f"{_ARRAYS}*") if path.name != index.manifest.arrays]
    for old in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(old)


def _is_being_written(file: Path) -> bool:
    return file.name.startswith(WRITING) and time.time() - file.stat().st_mtime < _ABANDONED
