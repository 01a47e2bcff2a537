"""A base and all that goes on from it, trained under one seed, probed in their views, and what was measured kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from aimv2_lab.data.transforms import pixel_scale
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.ablations.measuring import (
    FEATURES,
    MEASURES,
    SPENT,
    Scores,
    factor_scores,
    read_measures,
)
from aimv2_lab.evaluation.ablations.toys import PROBED_SCENES, PROBED_SEED, PROBES
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.resolutions.toys import PROBED, TRAINED, WORLD, Trained
from aimv2_lab.evaluation.resolutions.views import RATIOS, VIEWS, probed
from aimv2_lab.evaluation.spent import seconds_spent
from aimv2_lab.formats.folder import CHECKPOINTS, newest_checkpoint
from aimv2_lab.formats.whole import load_pretrained, pretrained_recipe
from aimv2_lab.recipes import Recipe
from aimv2_lab.recipes.continuations import adaptation_recipe
from aimv2_lab.training.loop import pretrain
from aimv2_lab.training.run.folder import read_metrics, replace_text


@dataclass(frozen=True)
class Family:
    """A base with its stages, under one seed: what one process does, because the stages need the base's weights."""

    name: str
    seed: int

    @property
    def members(self) -> tuple[str, ...]:
        """The base, then its stages."""
        return self.name, *(name for name, one in TRAINED.items() if one.start == self.name)

    def run(self, runs: Path) -> dict[str, Any]:
        """What is measured of every member, as "members"; weights are removed once all of it is kept.

        What was measured before is read; a run that was interrupted goes on. Raises ValueError for what was measured in
        another way, and where a stage is missing of a base whose weights are gone.
        """
        folders = {name: runs / f"{name}-{self.seed}" for name in self.members}
        found = {name: read_measures(folder, measured_as(name, self.seed)) for name, folder in folders.items()}
        base, missing = folders[self.name], [folder for name, folder in folders.items() if found[name] is None]
        if missing and found[self.name] is not None and newest_checkpoint(base) is None:
            raise ValueError(f"{missing[0]} goes on from {base}, whose weights were removed. Remove {base} too")
        for name, folder in folders.items():
            if found[name] is None:
                found[name] = _measured(name, self.seed, folder, base)
        for folder in folders.values():
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        return {"members": [{"variant": name, "seed": self.seed, **(one or {})} for name, one in found.items()]}


def measured_as(name: str, seed: int) -> str:
    """Hex digest of all that decides what is measured: recipes, views, probe and scenes."""
    trained, world = TRAINED[name], open_world(WORLD).settings.fingerprint
    views = {view: (VIEWS[view], VIEWS[view].preprocessing) for view in PROBED[name]}
    about = (trained, TRAINED.get(trained.start), seed, views, RATIOS, PROBES["attentive"], PROBED_SCENES, PROBED_SEED)
    return blake2b(repr((about, world)).encode(), digest_size=8).hexdigest()


def _measured(name: str, seed: int, folder: Path, base: Path) -> dict[str, Any]:
    """Train, probe in every view, and keep what is found."""
    recipe = _seeded(TRAINED[name], seed, base)
    with seconds_spent(folder.with_name(folder.name + SPENT)) as seconds:
        pretrain(recipe, folder, resume=True)
        last = read_metrics(folder, "validation")[-1]
        found = {
            "losses": {name: round(last[name], 4) for name in ("total", "pixel", "text")},
            "scores": dict(_scores(recipe, folder, PROBED[name])),
            "measured_as": measured_as(name, seed),
            "seconds": round(seconds(), 1),
        }
    replace_text(folder / MEASURES, json.dumps(found) + "\n")
    shutil.rmtree(folder / FEATURES, ignore_errors=True)
    return found


def _seeded(trained: Trained, seed: int, base: Path) -> Recipe:
    """The recipe under a seed; of a stage, as an adaptation of the base."""
    recipe = replace(trained.recipe, training=replace(trained.recipe.training, seed=seed))
    if not trained.start:
        return recipe
    adapted = adaptation_recipe(str(base), pretrained_recipe(base), recipe)
    return replace(adapted, training=replace(adapted.training, weight_decay=trained.weight_decay))


def _scores(recipe: Recipe, folder: Path, views: tuple[str, ...]) -> Iterator[tuple[str, Scores]]:
    """By view, the top-1 of an attentive probe for every factor on every test set."""
    for view in views:
        encoder = load_pretrained(folder, VIEWS[view].size).encoder
        frozen = Frozen(encoder, pixel_scale(recipe.data))
        yield view, factor_scores(frozen, probed(view), PROBES["attentive"], folder / FEATURES)
