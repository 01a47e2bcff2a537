"""Labelled pictures one after the other, each once, for encoding: seen whole, or augmented anew in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aimv2_lab.data.augmentation import augmented_picture
from aimv2_lab.data.classes import ClassTokenizer
from aimv2_lab.data.damage import DamagedPair
from aimv2_lab.data.images import decode_image, decode_pixels
from aimv2_lab.data.order import sample_generator
from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.records import Pair, Source
from aimv2_lab.data.workers import prepare_worker
from aimv2_lab.recipes import DataRecipe
from aimv2_lab.recipes.probing import Augmentation


@dataclass(frozen=True)
class Task:
    """Something to tell pictures by: its name, and the names of its classes."""

    name: str
    classes: tuple[str, ...]


class Labels(Protocol):
    """What is asked about pictures."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """One or several."""
        ...

    def __call__(self, pair: Pair, index: int) -> Sequence[int]:
        """The class of a pair, at an index of its source, for every task; -100 where it has none."""
        ...


@dataclass(frozen=True)
class ClassLabels:
    """One task: which of the classes a pair's one caption names. Raises UnknownClass for a label that is none."""

    classes: tuple[str, ...]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The one."""
        return (Task("class", self.classes),)

    def __call__(self, pair: Pair, index: int) -> Sequence[int]:
        """The number of the class."""
        return ClassTokenizer(self.classes).encode([pair.captions[0]], 1)[0][0].tolist()


class Seen(NamedTuple):
    """A picture (3, height, width) uint8 with its labels (tasks,); or what is wrong with it, and neither."""

    picture: Tensor | None
    labels: Tensor | None
    damage: str


class SeenBatch(NamedTuple):
    """The sound ones of some pictures, B of them: (B, 3, height, width) uint8, or a list of (3, height, width) where
    sizes differ, their labels (B, tasks), and which of the pictures asked for they are; and what is wrong with the
    others, in words."""

    pictures: Tensor | list[Tensor]
    labels: Tensor
    rows: Tensor
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class LabelledPictures(Dataset[Seen]):
    """The pictures of a source as an encoder sees them, with their labels."""

    source: Source
    labels: Labels
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Seen:
        return self.seen(index, self._whole)

    def seen(self, index: int, view: Callable[[Pair], Tensor]) -> Seen:
        """The pair at an index, in a view that makes its picture (3, height, width) uint8 or raises DamagedPair."""
        try:
            pair = self.source[index]
            return Seen(view(pair), torch.tensor(self.labels(pair, index)), "")
        except DamagedPair as damage:
            return Seen(None, None, str(damage))

    def _whole(self, pair: Pair) -> Tensor:
        return self.preprocessing.kept(decode_image(pair.image, pair.key))

    @property
    def fingerprint(self) -> str:
        """Hex digest that changes with the pairs, as their source's does, with the tasks, and with what is seen."""
        about = (self.source.fingerprint, len(self), self.labels.tasks, self.preprocessing)
        return blake2b(repr(about).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class AugmentedPictures(Dataset[Seen]):
    """The same pictures, augmented as (seed, epoch, index) says."""

    whole: LabelledPictures
    augmentation: Augmentation
    seed: int
    epoch: int

    def __getitem__(self, index: int) -> Seen:
        return self.whole.seen(index, lambda pair: self._augmented(pair, index))

    def _augmented(self, pair: Pair, index: int) -> Tensor:
        seen, how = self.whole.preprocessing, self.augmentation
        assert seen.crop is not None  # others are refused by `probe_encoder`
        data = DataRecipe(
            mean=seen.mean,
            std=seen.std,
            crop_scale=how.crop_scale,
            crop_ratio=how.crop_ratio,
            flip_probability=how.flip_probability,
        )
        draws = sample_generator(self.seed, self.epoch, index, "augmentation")
        return augmented_picture(decode_pixels(pair.image, pair.key), data, how, seen.crop, draws)


def seen_batches(
    pictures: Dataset[Seen], batches: Sequence[np.ndarray], workers: int, pinned: bool = False
) -> Iterator[SeenBatch]:
    """The pictures of some batches of indices, in that order, without the damaged ones; raises what the source does."""
    loader = DataLoader(
        pictures,
        batch_sampler=[batch.tolist() for batch in batches],
        num_workers=workers,
        worker_init_fn=prepare_worker,
        pin_memory=pinned,
        collate_fn=_together,
        generator=torch.Generator(),  # else making the loader would draw from torch's global one
    )
    return iter(loader)


def _together(found: Sequence[Seen]) -> SeenBatch:
    sound = [(row, seen) for row, seen in enumerate(found) if seen.picture is not None]
    pictures = [seen.picture for _, seen in sound if seen.picture is not None]
    labels = [seen.labels for _, seen in sound if seen.labels is not None]
    damaged = tuple(seen.damage for seen in found if seen.picture is None)
    if not sound:
        return SeenBatch(torch.empty(0, 3, 0, 0, dtype=torch.uint8), torch.empty(0, 0), torch.empty(0), damaged)
    one_size = len({picture.shape for picture in pictures}) == 1
    rows = torch.tensor([row for row, _ in sound])
    return SeenBatch(torch.stack(pictures) if one_size else pictures, torch.stack(labels), rows, damaged)


def at_size(preprocessing: Preprocessing, image_size: int | None) -> Preprocessing:
    """The preprocessing for pictures cut to another size; one that cuts nothing cuts the middle of the shortest side
    from then on."""
    if image_size is None:
        return preprocessing
    if preprocessing.crop is None:
        return replace(preprocessing, shortest_side=image_size, crop=image_size)
    return preprocessing.at(image_size)
