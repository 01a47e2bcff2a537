"""Frozen features on disk: computed once, mapped into memory, and refused where they belong to something else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from aimv2_lab.data.damage import MINIMUM_SAMPLES, TooMuchDamage
from aimv2_lab.data.files import WRITING, move_into_place
from aimv2_lab.evaluation.probing.encoded import encoded_batches
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.pictures import LabelledPictures
from aimv2_lab.training.ranks import ALONE, Ranks

FEATURES, LABELS, ABOUT = "features.npy", "labels.npy", "about.json"
_VERSION = 1  # raised whenever the same encoder and pictures give other features than before
FeatureType = Literal["float16", "float32"]


@dataclass(frozen=True)
class CachedFeatures:
    """Features (N, I, D), or (N, D) where pooled, mapped into memory, and labels (N, tasks) of the sound pictures.

    `damaged` says of every other picture what is wrong with it.
    """

    features: np.ndarray
    labels: Tensor
    damaged: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
        """The features of some rows, in that order, float32."""
        return torch.from_numpy(self.features[rows]).to(device).float()


def cached_features(
    folder: Path,
    frozen: Frozen,
    pictures: LabelledPictures,
    batch_size: int = 64,
    workers: int = 0,
    dtype: FeatureType = "float16",
    damage_limit: float = 0.01,
    ranks: Ranks = ALONE,
) -> CachedFeatures:
    """The features of all pictures: read from the folder, or computed and written there; called by all ranks.

    Several ranks, which all see the folder, encode `batch_size` pictures each at a time, and the first one writes what
    one process would. Damaged pictures are left out; above `damage_limit` of at least 200 that raises TooMuchDamage.
    Raises ValueError where the folder holds features of another encoder, other pictures, sizes, layers or labels, or
    not all of its files, and where features do not fit float16; RankFailed where one of several ranks fails.
    """
    about = {"version": _VERSION, **frozen.about(), "pictures": pictures.fingerprint, "type": dtype}
    if not ranks.from_first(folder.exists):
        _write(folder, about, frozen, pictures, batch_size, workers, damage_limit, ranks)
    return ranks.together(lambda: _read(folder, about))


def cache_name(frozen: Frozen, pictures: LabelledPictures) -> str:
    """The name of a folder that says whose features it holds, as far as sixteen letters can."""
    layers = "-".join(map(str, frozen.numbers))
    kind = f"{layers}{'' if frozen.normed else '-raw'}{'-mean' if frozen.pooled else ''}"
    return f"{frozen.digest:.12}-{pictures.fingerprint:.12}-{kind}"


def _read(folder: Path, about: Mapping[str, Any]) -> CachedFeatures:
    missing = [name for name in (ABOUT, FEATURES, LABELS) if not (folder / name).exists()]
    if missing:
        raise ValueError(f"{folder} holds no features: {', '.join(missing)} missing. Name another folder for them")
    stored = json.loads((folder / ABOUT).read_text())
    other = [name for name in about if stored.get(name) != about[name]]
    if other:
        differences = "; ".join(f"{name} was {stored.get(name)!r:.60}, is {about[name]!r:.60}" for name in other)
        raise ValueError(f"{folder} holds features of something else: {differences}. Remove it, or name another folder")
    features, labels = np.load(folder / FEATURES, mmap_mode="r"), torch.from_numpy(np.load(folder / LABELS))
    if len(features) < len(labels):
        raise ValueError(f"{folder}: {len(features)} features for {len(labels)} labels. Remove the folder")
    return CachedFeatures(features[: len(labels)], labels, tuple(stored["damaged"]))


def _write(
    folder: Path,
    about: Mapping[str, Any],
    frozen: Frozen,
    pictures: LabelledPictures,
    batch_size: int,
    workers: int,
    damage_limit: float,
    ranks: Ranks,
) -> None:
    """Compute the features aside, so that there is all of them or nothing; a process that does the same and is first
    leaves nothing to be moved."""
    writing = folder.with_name(f"{WRITING}{uuid4().hex[:8]}-{folder.name}")
    ranks.on_first(lambda: writing.mkdir(parents=True))
    try:
        _write_into(writing, about, frozen, pictures, batch_size, workers, damage_limit, ranks)
        ranks.on_first(lambda: None if folder.exists() else move_into_place(writing, folder))
    finally:  # the other ranks' own names were never used
        shutil.rmtree(writing, ignore_errors=True)


def _write_into(
    writing: Path,
    about: Mapping[str, Any],
    frozen: Frozen,
    pictures: LabelledPictures,
    batch_size: int,
    workers: int,
    damage_limit: float,
    ranks: Ranks,
) -> None:
    """All three files."""
    together = batch_size * ranks.size
    batches = np.array_split(np.arange(len(pictures)), range(together, len(pictures), together))
    labels, damaged, name = list[Tensor](), list[str](), pictures.source.name
    table = _Table(writing / FEATURES, len(pictures), np.dtype(str(about["type"])))
    found = encoded_batches(frozen, pictures, batches, workers, ranks)
    for batch in tqdm(found, total=len(batches), desc="encoding", unit="batch", delay=5, disable=not ranks.is_first):
        damaged += batch.damaged
        if batch.damaged:
            ranks.together(partial(check_damage, damaged, len(pictures), name, damage_limit))
        if len(batch.labels):
            ranks.on_first(partial(table.append, batch.features))
            labels.append(batch.labels)
    if not labels:
        ranks.fail(ValueError(f"{name}: not one of {len(pictures)} pictures can be used: {damaged[0]}"))
    ranks.on_first(lambda: _finish(writing, table, labels, {**about, "damaged": damaged}))


def _finish(writing: Path, table: _Table, labels: list[Tensor], about: Mapping[str, Any]) -> None:
    table.flush()
    np.save(writing / LABELS, torch.cat(labels).numpy())
    (writing / ABOUT).write_text(json.dumps(about, indent=2) + "\n")


class _Table:
    """A mapped file with a row for every picture, made when the first features come."""

    def __init__(self, file: Path, length: int, dtype: np.dtype) -> None:
        self.file, self.length, self.dtype, self.filled = file, length, dtype, 0

    def append(self, features: Tensor) -> None:
        """Copy features into the next rows, rounded to the table's type."""
        rounded = features.half() if self.dtype == np.float16 else features
        if not rounded.isfinite().all():
            raise ValueError(
                f"features reach {features.abs().max().item():.3g}: float16 ends at 65504. Set --feature-type float32, "
                "if they are finite at all"
            )
        if not self.filled:
            shape = (self.length, *features.shape[1:])
            self.rows = np.lib.format.open_memmap(self.file, "w+", self.dtype, shape)
        self.rows[self.filled : self.filled + len(features)] = rounded.cpu().numpy()
        self.filled += len(features)

    def flush(self) -> None:
        """Have all rows on disk."""
        self.rows.flush()


def check_damage(damaged: list[str], pictures: int, name: str, limit: float) -> None:
    """Raise TooMuchDamage as soon as the share of all pictures is above the limit."""
    if pictures >= MINIMUM_SAMPLES and len(damaged) > limit * pictures:
        raise TooMuchDamage(
            f"{len(damaged)} or more of {pictures} pictures of {name} cannot be used, above data.damage_limit = "
            f"{limit:.2%}; first: {', '.join(damaged[:5])}"
        )
