"""A probing's scores as JSON, a figure, and lines to print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aimv2_lab.evaluation.probing.factors import FACTORS, group_scores
from aimv2_lab.evaluation.probing.results import ProbeScores
from aimv2_lab.evaluation.probing.scores import Interval
from aimv2_lab.recipes.probing import ProbeRecipe
from aimv2_lab.report.probe_figures import draw_probe

SCORES, FIGURE = "probe.json", "probe.png"
Groups = Mapping[str, Mapping[str, Interval]]


def refuse_overwriting(folder: Path) -> None:
    """Raise FileExistsError where a folder holds a result."""
    if (folder / SCORES).exists():
        raise FileExistsError(f"{folder / SCORES} holds a result already: name another --out")


def groups_of(found: ProbeScores) -> Groups:
    """By test set, the means over the groups of a generated world's factors; empty for other data."""
    if not {task.name for task in found.tasks} <= {factor.name for factor in FACTORS}:
        return {}
    return {test: group_scores(found.tasks, test) for test in found.tasks[0].by_test}


def write_scores(folder: Path, found: ProbeScores, recipe: ProbeRecipe, title: str, about: Mapping[str, Any]) -> None:
    """Write the scores, with what else is known of them, and their figure."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_probe(found.tasks, recipe, title).savefig(folder / FIGURE)
    groups = {test: {name: asdict(one) for name, one in means.items()} for test, means in groups_of(found).items()}
    values = {**about, "recipe": asdict(recipe), "scores": asdict(found), "groups": groups}
    (folder / SCORES).write_text(json.dumps(values, indent=2, default=str) + "\n")


def lines(found: ProbeScores) -> Iterator[str]:
    """A line for every task, for the groups of every test set, and for every part with damaged pictures."""
    for task in found.tasks:
        by_test = task.by_test.items()
        said = (f"{test}: top-1 {by['top1']}, mean per class {by['mean_per_class']}" for test, by in by_test)
        yield f"{task.name} ({task.classes} classes)  " + "; ".join(said)
    for test, means in groups_of(found).items():
        yield f"{test}: " + ", ".join(f"{name} {one}" for name, one in means.items())
    for part, damaged in found.damaged.items():
        yield f"{part}: {len(damaged)} pictures cannot be used and are left out, the first: {damaged[0]}"
