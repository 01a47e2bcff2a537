"""Frozen features on disk: computed once, mapped into memory, and refused where they belong to something else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from aimv2_lab.data.damage import MINIMUM_SAMPLES, TooMuchDamage
from aimv2_lab.data.files import WRITING, move_into_place
from aimv2_lab.evaluation.padded import Padded, end_to_end
from aimv2_lab.evaluation.probing.encoded import EncodedBatch, encoded_batches
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.growing import GrowingArray
from aimv2_lab.evaluation.probing.pictures import LabelledPictures
from aimv2_lab.training.ranks import ALONE, Ranks

FEATURES, LABELS, ABOUT = "features.npy", "labels.npy", "about.json"
PATCH_COUNTS = "patch_counts.npy"  # only where pictures keep their own sizes
_VERSION = 1  # raised whenever the same encoder and pictures give other features than before
FeatureType = Literal["float16", "float32"]


@dataclass(frozen=True)
class CachedFeatures:
    """Features (N, I, D), or (N, D) where pooled, mapped into memory, and labels (N, tasks) of the sound pictures.

    Of pictures that keep their own sizes, features (sum of `patch_counts`, D) are one picture's behind another's, so
    that no padding is stored. `damaged` says of every picture that is not sound what is wrong with it.
    """

    features: np.ndarray
    labels: Tensor
    damaged: tuple[str, ...]
    patch_counts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def _starts(self) -> np.ndarray:
        assert self.patch_counts is not None
        return self.patch_counts.cumsum() - self.patch_counts

    def rows(self, rows: np.ndarray, device: torch.device | str = "cpu") -> Tensor | Padded:
        """The features of some rows, in that order, float32, padded where pictures keep their own sizes."""
        if self.patch_counts is None:
            return torch.from_numpy(self.features[rows]).to(device).float()
        counts = self.patch_counts[rows]
        ahead = counts.cumsum() - counts  # patches of the rows before each
        patches = np.repeat(self._starts[rows] - ahead, counts) + np.arange(counts.sum())
        found = torch.from_numpy(self.features[patches]).to(device).float()
        return Padded.of(found, torch.from_numpy(counts).to(device))


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
        settings = (about, frozen, pictures, batch_size, workers, damage_limit, ranks)
        _written_aside(folder, ranks, lambda writing: _write(writing, *settings))
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
    if features.ndim == 2 and not stored["pooled"]:
        return _of_many_sizes(folder, features, labels, tuple(stored["damaged"]))
    if len(features) < len(labels):
        raise ValueError(f"{folder}: {len(features)} features for {len(labels)} labels. Remove the folder")
    return CachedFeatures(features[: len(labels)], labels, tuple(stored["damaged"]))


def _of_many_sizes(folder: Path, features: np.ndarray, labels: Tensor, damaged: tuple[str, ...]) -> CachedFeatures:
    if not (folder / PATCH_COUNTS).exists():
        raise ValueError(f"{folder}: {PATCH_COUNTS} is missing. Remove the folder")
    counts = np.load(folder / PATCH_COUNTS)
    if (len(counts), counts.sum()) != (len(labels), len(features)):
        raise ValueError(
            f"{folder}: {len(features)} features, {counts.sum()} patches of {len(counts)} pictures, {len(labels)} "
            "labels. Remove the folder"
        )
    return CachedFeatures(features, labels, damaged, counts)


def _written_aside(folder: Path, ranks: Ranks, write: Callable[[Path], None]) -> None:
    """Compute the features aside, so that there is all of them or nothing; a process that does the same and is first
    leaves nothing to be moved."""
    writing = folder.with_name(f"{WRITING}{uuid4().hex[:8]}-{folder.name}")
    ranks.on_first(lambda: writing.mkdir(parents=True))
    try:
        write(writing)
        ranks.on_first(lambda: None if folder.exists() else move_into_place(writing, folder))
    finally:  # the other ranks' own names were never used
        shutil.rmtree(writing, ignore_errors=True)


def _write(
    writing: Path,
    about: Mapping[str, Any],
    frozen: Frozen,
    pictures: LabelledPictures,
    batch_size: int,
    workers: int,
    damage_limit: float,
    ranks: Ranks,
) -> None:
    """All files; the first rank alone has them open."""
    own_sizes = pictures.preprocessing.crop is None and not frozen.pooled
    labels, damaged, counts, name = list[Tensor](), list[str](), list[Tensor](), pictures.source.name
    table = GrowingArray(writing / FEATURES, np.dtype(str(about["type"])))

    def append(batch: EncodedBatch) -> None:
        features = batch.features
        if own_sizes:
            features, of_each = end_to_end(features)
            counts.append(of_each)
        assert isinstance(features, Tensor)
        table.append(_rounded(features, table.dtype))

    together = batch_size * ranks.size
    batches = np.array_split(np.arange(len(pictures)), range(together, len(pictures), together))
    found = encoded_batches(frozen, pictures, batches, workers, ranks)
    with ranks.together(lambda: table if ranks.is_first else nullcontext()):
        for batch in tqdm(found, total=len(batches), desc="encoding", delay=5, disable=not ranks.is_first):
            damaged += batch.damaged
            if batch.damaged:
                ranks.together(partial(check_damage, damaged, len(pictures), name, damage_limit))
            if len(batch.labels):
                ranks.on_first(partial(append, batch))
                labels.append(batch.labels)
    if not labels:
        ranks.fail(ValueError(f"{name}: not one of {len(pictures)} pictures can be used: {damaged[0]}"))
    ranks.on_first(lambda: _finish(writing, labels, counts, {**about, "damaged": damaged}))


def _finish(writing: Path, labels: Sequence[Tensor], counts: Sequence[Tensor], about: Mapping[str, Any]) -> None:
    np.save(writing / LABELS, torch.cat([*labels]).numpy())
    if counts:
        np.save(writing / PATCH_COUNTS, torch.cat([*counts]).numpy())
    (writing / ABOUT).write_text(json.dumps(about, indent=2) + "\n")


def _rounded(features: Tensor, dtype: np.dtype) -> np.ndarray:
    """Features in the type they are kept in."""
    rounded = features.half() if dtype == np.float16 else features
    if not rounded.isfinite().all():
        raise ValueError(
            f"features reach {features.abs().max().item():.3g}: float16 ends at 65504. Set --feature-type float32, if "
            "they are finite at all"
        )
    return rounded.cpu().numpy()


def check_damage(damaged: list[str], pictures: int, name: str, limit: float) -> None:
    """Raise TooMuchDamage as soon as the share of all pictures is above the limit."""
    if pictures >= MINIMUM_SAMPLES and len(damaged) > limit * pictures:
        raise TooMuchDamage(
            f"{len(damaged)} or more of {pictures} pictures of {name} cannot be used, above data.damage_limit = "
            f"{limit:.2%}; first: {', '.join(damaged[:5])}"
        )
