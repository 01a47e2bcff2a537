"""Labels of scenes are what the scenes hold, and every group is the mean of its factors."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import torch

from aimv2_lab.data.world import WORLDS, SceneObject
from aimv2_lab.data.world.layout import RELATION_MARGIN
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.evaluation.probing.factors import FACTORS, FactorLabels, group_scores
from aimv2_lab.evaluation.probing.results import TaskScores
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.evaluation.probing.training import UNLABELLED

SCENES = 300


def answers(preset: str, split: str = "validation") -> tuple[WorldSource, dict[str, list[str | None]]]:
    """The class that every scene has for every factor."""
    world = WorldSource(preset, split)
    labels = FactorLabels(world)
    rows = [labels(world[0], index) for index in range(SCENES)]
    found: dict[str, list[str | None]] = {}
    for task, column in zip(labels.tasks, zip(*rows, strict=True), strict=True):
        found[task.name] = [None if number == UNLABELLED else task.classes[number] for number in column]
    return world, found


def only(world: WorldSource, index: int, size: str) -> SceneObject | None:
    things = [thing for thing in world.scene(index).objects if thing.size == size]
    return things[0] if len(things) == 1 else None


@pytest.mark.parametrize("split", ["validation", "heldout"])
def test_objects_are_labelled_by_what_they_are(split: str) -> None:
    world, found = answers("separating", split)
    for index in range(SCENES):
        large, small = only(world, index, "large"), only(world, index, "small")
        assert found["large object, mark"][index] == (large and large.mark)
        assert found["large object, colour"][index] == (large and large.colour)
        assert found["small object, shape"][index] == (small and small.shape)
        sizes = {thing.size for thing in world.scene(index).objects}
        assert found["sizes compared"][index] == ("all alike" if len(sizes) == 1 else "some larger")
        beside = found["large beside small"][index]
        if large is None or small is None:
            assert beside is None
        elif abs(large.x - small.x) < RELATION_MARGIN:
            assert beside == "neither"
        else:
            assert beside == ("left of" if large.x < small.x else "right of")


def test_numbers_are_cut_at_their_quartiles() -> None:
    world, found = answers("separating")
    brightness = [sum(world.scene(index).ground.rgb) for index in range(SCENES)]
    by_class = {
        name: [b for b, c in zip(brightness, found["ground brightness"], strict=True) if c == name]
        for name in sorted({*filter(None, found["ground brightness"])})
    }
    assert list(by_class) == [f"quarter {number}" for number in range(4)]
    ranges = [(min(values), max(values)) for values in by_class.values()]
    assert all(lower[1] < upper[0] for lower, upper in pairwise(ranges))
    assert all(SCENES / 6 < len(values) < SCENES / 3 for values in by_class.values())


@pytest.mark.parametrize("split", ["validation", "heldout"])
def test_no_factor_of_the_separating_world_is_told_by_its_most_frequent_class(split: str) -> None:
    _, found = answers("separating", split)
    assert set(found) == {factor.name for factor in FACTORS}
    for name, values in found.items():
        counts = Counter(value for value in values if value is not None)
        assert counts.total() > SCENES / 5, name
        assert max(counts.values()) / counts.total() < 0.75, name


@pytest.mark.parametrize("preset", WORLDS)
def test_every_world_has_labels_and_every_split_the_same_tasks(preset: str) -> None:
    train, held_out = (FactorLabels(WorldSource(preset, split)) for split in ("train", "heldout"))
    assert train.tasks == held_out.tasks and len(train.tasks) >= 10
    assert {factor.group for factor in train.factors} == {"P", "T", "PT", "R"}
    assert all(len(set(task.classes)) == len(task.classes) >= 2 for task in train.tasks)


def test_groups_are_means_of_their_factors_seed_by_seed() -> None:
    def task(name: str, *values: float) -> TaskScores:
        return TaskScores(name, 2, {"test": {"top1": Interval.of(values)}}, {"test": 0.5}, (), ())

    tasks = [task("ground hue", 0.2, 0.4), task("ground light", 0.4, 0.8), task("count", 0.9, 1.0)]
    found = group_scores(tasks, "test")
    assert list(found) == ["P", "PT", "mean"]
    torch.testing.assert_close(found["P"].values, (0.3, 0.6))
    torch.testing.assert_close(found["mean"].values, (0.6, 0.8))
