"""What can be asked about a scene of the generated world, factor by factor, and in which group each factor is.

Groups: P is loud in the picture and never named, T quiet and named, PT both, R follows from the others: relations
between objects. "The large object" is there where a scene has exactly one of the world's largest size, likewise the
small one; scenes without it have no label. The list is our choice. Rotation is not in it: most shapes look alike after
a turn, each after another one; nor are equal colours, which held-out combinations never have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import pi
from statistics import fmean, quantiles
from typing import Literal

from aimv2_lab.data.captions import Fact, facts_of
from aimv2_lab.data.records import Pair
from aimv2_lab.data.world import Scene, SceneObject, WorldSettings, make_scene
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.evaluation.probing.pictures import Task
from aimv2_lab.evaluation.probing.results import TaskScores
from aimv2_lab.evaluation.probing.scores import Interval, Metric
from aimv2_lab.evaluation.probing.training import UNLABELLED

Group = Literal["P", "T", "PT", "R"]
Value = str | float | None
PARTS = 4  # numbers are cut at their quartiles, angles into quarters
SURVEYED = 1000  # training scenes from which classes and cuts are taken


@dataclass(frozen=True)
class Factor:
    """One question about a scene: its answer is a class, a number, or None where the scene has none."""

    name: str
    group: Group
    answer: Callable[[Scene, WorldSettings], Value]


def _only(scene: Scene, size: str) -> int | None:
    """The number of the one object of that size."""
    found = [number for number, thing in enumerate(scene.objects) if thing.size == size]
    return found[0] if len(found) == 1 else None


def _of(place: int, read: Callable[[SceneObject], Value]) -> Callable[[Scene, WorldSettings], Value]:
    """What is read of the one object of a size, 0 the smallest, -1 the largest."""

    def answer(scene: Scene, settings: WorldSettings) -> Value:
        number = _only(scene, settings.sizes[place])
        return None if number is None else read(scene.objects[number])

    return answer


def _relation(forward: str, backward: str) -> Callable[[Scene, WorldSettings], Value]:
    """How the large object stands to the small one: in the relation, in its inverse, or in neither."""

    def answer(scene: Scene, settings: WorldSettings) -> Value:
        large, small = (_only(scene, settings.sizes[place]) for place in (-1, 0))
        if large is None or small is None:
            return None
        true = facts_of(scene)
        if Fact("relation", forward, large, small) in true:
            return forward
        return backward if Fact("relation", forward, small, large) in true else "neither"

    return answer


def _sizes_compared(scene: Scene, settings: WorldSettings) -> Value:
    if len(scene.objects) == 1:
        return None
    return "some larger" if len({thing.size for thing in scene.objects}) > 1 else "all alike"


def _hue(scene: Scene, settings: WorldSettings) -> Value:
    rgb = scene.ground.rgb
    return ("red", "green", "blue")[rgb.index(max(rgb))]


def _quarter(angle: float, period: float) -> str:
    return f"quarter {int(angle / period % 1 * PARTS)}"


FACTORS: tuple[Factor, ...] = (
    Factor("ground brightness", "P", lambda scene, _: sum(scene.ground.rgb)),
    Factor("ground hue", "P", _hue),
    Factor("ground light", "P", lambda scene, _: _quarter(scene.ground.gradient_angle, 2 * pi)),
    Factor(
        "ground texture",
        "P",
        lambda scene, _: _quarter(scene.ground.texture_angle, pi) if scene.ground.texture else None,
    ),
    Factor("large object, across", "P", _of(-1, lambda thing: thing.x)),
    Factor("large object, down", "P", _of(-1, lambda thing: thing.y)),
    Factor("large object, mark", "T", _of(-1, lambda thing: thing.mark)),
    Factor("small object, shape", "T", _of(0, lambda thing: thing.shape)),
    Factor("large object, colour", "PT", _of(-1, lambda thing: thing.colour)),
    Factor("large object, shape", "PT", _of(-1, lambda thing: thing.shape)),
    Factor("count", "PT", lambda scene, _: str(len(scene.objects))),
    Factor("large beside small", "R", _relation("left of", "right of")),
    Factor("large over small", "R", _relation("above", "below")),
    Factor("sizes compared", "R", _sizes_compared),
)
GROUPS: tuple[Group, ...] = ("P", "T", "PT", "R")


@dataclass(frozen=True)
class FactorLabels:
    """Every factor that can differ in a world, as tasks; numbers are cut at the quartiles of the training scenes."""

    world: WorldSource

    @cached_property
    def _answers(self) -> Mapping[str, tuple[tuple[str, ...], tuple[float, ...]]]:
        """The classes and the cuts of every factor of which two values or more are met."""
        settings = self.world.settings
        scenes = [make_scene(settings, self.world.seed, "train", index) for index in range(SURVEYED)]
        found = {}
        for factor in FACTORS:
            values = [value for scene in scenes if (value := factor.answer(scene, settings)) is not None]
            numbers = [value for value in values if isinstance(value, float)]
            if len(set(values)) < 2:
                continue
            cuts = tuple(quantiles(numbers, n=PARTS)) if numbers else ()
            names = [f"quarter {part}" for part in range(PARTS)] if numbers else sorted(map(str, set(values)))
            found[factor.name] = tuple(names), cuts
        return found

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Those that differ in this world."""
        return tuple(factor for factor in FACTORS if factor.name in self._answers)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """One for each factor."""
        return tuple(Task(factor.name, self._answers[factor.name][0]) for factor in self.factors)

    def __call__(self, pair: Pair, index: int) -> Sequence[int]:
        """The class of scene `index` for every factor, -100 where it has none."""
        scene = self.world.scene(index)
        return [self._class(factor, factor.answer(scene, self.world.settings)) for factor in self.factors]

    def _class(self, factor: Factor, value: Value) -> int:
        classes, cuts = self._answers[factor.name]
        if value is None:
            return UNLABELLED
        return sum(value >= cut for cut in cuts) if isinstance(value, float) else classes.index(value)


def group_scores(tasks: Sequence[TaskScores], test: str, metric: Metric = "top1") -> dict[str, Interval]:
    """The mean over the factors of every group that has any, and over the groups as "mean", seed by seed, on a test
    set."""
    groups = {factor.name: factor.group for factor in FACTORS}
    found: dict[str, Interval] = {}
    for group in GROUPS:
        if members := [task.by_test[test][metric].values for task in tasks if groups[task.name] == group]:
            found[group] = Interval.of([fmean(values) for values in zip(*members, strict=True)])
    every = zip(*(one.values for one in found.values()), strict=True)
    return {**found, "mean": Interval.of([fmean(values) for values in every])}
