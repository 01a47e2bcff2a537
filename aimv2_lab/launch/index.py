"""Index WebDataset shards for training:  python -m aimv2_lab.launch.index FOLDER [--columns width,height]

Training reads pairs from where they lie in the tars, and this says where. It walks every shard once, in parallel, and
goes on where it was interrupted; new shards alone are walked when it is run again. Small folders need no command:
training indexes them as it starts.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from aimv2_lab.data.damage import KEYS_SHOWN
from aimv2_lab.data.tars.index import TarIndex
from aimv2_lab.data.tars.indexing import build_index
from aimv2_lab.launch.command import end_plainly


@dataclass(frozen=True)
class IndexOptions:
    """Index a folder of WebDataset shards, or one of them."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """The folder, or one .tar, also .tar.gz, .tar.xz, .tar.bz2, .tar.zst or .tar.lz4."""
    columns: str | None = None
    """Numbers to keep of every sample, as width,height: from its json, or from the Parquet file beside its shard.
    Default: those that the present index keeps; '' drops them."""
    workers: int = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    """Processes that walk shards."""
    check: bool = True
    """Open the header of every picture, which reads a few KB of each, and list those that cannot be read."""


def index_shards(options: IndexOptions) -> None:
    """Make the index and print what is in it; raises FileNotFoundError, ValueError and DamagedArchive."""
    data = options.data.expanduser().absolute()
    if not data.exists():
        raise FileNotFoundError(f"{options.data}: no such folder or file (seen from {Path.cwd()})")
    named = None if options.columns is None else options.columns.split(",")
    columns = None if named is None else [name.strip() for name in named if name.strip()]
    print("\n".join(summary(build_index(data, columns, options.workers, options.check, progress=True))))


def summary(index: TarIndex) -> list[str]:
    """Lines on what an index holds: shards, samples, bytes, columns, damage by kind, and where it lies."""
    manifest = index.manifest
    size = sum(shard.bytes for shard in manifest.shards)
    lines = [f"{len(manifest.shards):,} shards, {manifest.samples:,} samples, {size:,} bytes"]
    lines += [f"column {name}: known for {_known(index, name):,} samples" for name in manifest.columns]
    if manifest.passed_over:
        lines.append(f"{manifest.passed_over:,} members belong to no sample (hidden, or without an extension)")
    if not manifest.checked:
        lines.append("headers of pictures were not looked at")
    return [*lines, *_damage(index), f"index in {index.folder}"]


def _known(index: TarIndex, column: str) -> int:
    return int(np.count_nonzero(~np.isnan(index.column(column))))


def _damage(index: TarIndex) -> list[str]:
    """A line for every kind of damage, with the first keys."""
    counts = Counter[str]()
    first: dict[str, list[str]] = {}
    for found in index.damage():
        kind = found.reason.partition(":")[0]
        counts[kind] += 1
        if len(first.setdefault(kind, [])) < KEYS_SHOWN:
            first[kind].append(f"{found.key}.{found.member}" if found.member else found.key)
    return [f"damaged, {kind}: {count:,} (first: {', '.join(first[kind])})" for kind, count in counts.most_common()]


def main() -> None:
    """Run the command line."""
    command = "python -m aimv2_lab.launch.index"
    options = tyro.cli(IndexOptions, prog=command)
    end_plainly(lambda: index_shards(options), "the same command goes on with the shards that are left")


if __name__ == "__main__":
    main()
