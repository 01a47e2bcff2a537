"""The training pictures and the test sets of a probing, wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

from aimv2_lab.data.classes import find_classes
from aimv2_lab.data.mixture import open_mixture
from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.sources import Split
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.probing.factors import FactorLabels
from aimv2_lab.evaluation.probing.parts import joined
from aimv2_lab.evaluation.probing.pictures import ClassLabels, LabelledPictures
from aimv2_lab.recipes import DataRecipe
from aimv2_lab.recipes.probe_sets import ProbeSet

SEEN, HELD_OUT = "seen combinations", "held-out combinations"  # of shape and colour, in the generated world


class Probed(NamedTuple):
    """What a probe is trained on, and what it is tested on, by name."""

    train: LabelledPictures
    tests: dict[str, LabelledPictures]


def open_labelled(
    data: DataRecipe,
    test: Literal["validation", "test"],
    seen: Preprocessing,
    trained_on: Sequence[Split] = ("train",),
    image_size: int | None = None,
) -> Probed:
    """Pictures whose one caption is their class; the classes are those of the training pictures.

    `trained_on` names the splits that are training pictures. Nothing is held out of them where the test is a split of
    its own. `image_size` is for generated worlds, as in `open_factors`. Raises what `open_mixture` and `find_classes`
    do, and ValueError for a test on what is trained on.
    """
    size = _size(seen, image_size)
    if test in trained_on:
        raise ValueError(f"test = {test!r}: those pictures are trained on ({', '.join(trained_on)}). Choose test")
    whole = replace(data, validation_share=0.0) if test == "test" else data
    mixtures = [open_mixture(split, whole, size) for split in trained_on]
    classes = ClassLabels(find_classes(mixtures[0]))
    tested = joined([open_mixture(test, data, size)])
    train = LabelledPictures(joined(mixtures), classes, seen)
    return Probed(train, {test: LabelledPictures(tested, classes, seen)})


def open_factors(spec: str, seen: Preprocessing, seed: int = 0, image_size: int | None = None) -> Probed:
    """Scenes of a generated world, "world:PRESET" or "world:PRESET:LENGTH", and every factor of theirs; tested on
    validation scenes and, apart, on scenes of the combinations that no other scene holds. `seed` is the world's: 0 has
    the scenes that runs train on. Scenes are rendered at the crop of what is seen, or where pictures keep their own
    size, in the area of `image_size` pixels squared. Raises ValueError where neither says a size."""
    rendered = partial(_scenes, spec, seen, seed, _size(seen, image_size))
    train, validation, heldout = map(rendered, ("train", "validation", "heldout"))
    return Probed(train, {SEEN: validation, HELD_OUT: heldout})


def check_set(known: ProbeSet, found: Probed) -> None:
    """Raise ValueError where data have another number of classes than the set they are said to be."""
    known.check(len(found.train.labels.tasks[0].classes))


def _scenes(spec: str, seen: Preprocessing, seed: int, size: int, split: str) -> LabelledPictures:
    world = open_world(spec, split, size, seed)
    return LabelledPictures(world, FactorLabels(world), seen)


def _size(seen: Preprocessing, image_size: int | None) -> int:
    size = seen.crop or image_size
    if size is None:
        raise ValueError("pictures keep their own size: name image_size, at which scenes of a generated world are made")
    return size
