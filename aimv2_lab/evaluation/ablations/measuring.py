"""One variant under one seed: trained where it is to be, probed, and its scores kept beside the run."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.transforms import pixel_scale
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.ablations.toys import PROBED_SCENES, PROBED_SEED, PROBES, WORLD
from aimv2_lab.evaluation.ablations.variants import AblatedRecipe, Variant
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.opening import Probed, open_factors
from aimv2_lab.evaluation.probing.run import Storing, probe_encoder
from aimv2_lab.evaluation.spent import seconds_spent
from aimv2_lab.formats.folder import CHECKPOINTS, RECIPE_FILE
from aimv2_lab.recipes.probing import ProbeKind, ProbeRecipe
from aimv2_lab.training.loop import build_model, pretrain
from aimv2_lab.training.run.folder import read_metrics, refuse_other_recipe, replace_text

MEASURES, FEATURES, SPENT = "measures.json", "features", "-seconds.txt"
Scores = dict[str, dict[str, float]]  # by test set and factor, 0 … 1


def run_variant(variant: Variant, seed: int, folder: Path) -> dict[str, Any]:
    """Train and probe, or read what was measured before; an interrupted run goes on where it stopped.

    Weights and features are removed once their scores are kept. Raises ValueError where the folder holds a run of
    another recipe, or on a world of other settings.
    """
    recipe, file, digest = variant.seeded(seed), folder / MEASURES, measured_as(variant, seed)
    if file.exists() and variant.trained:
        refuse_other_recipe(folder / RECIPE_FILE, recipe)
    if known := read_measures(folder, digest):
        return known
    with seconds_spent(folder.with_name(folder.name + SPENT)) as seconds:
        model = pretrain(recipe, folder, resume=True).model if variant.trained else build_model(recipe)
        last = read_metrics(folder, "validation")[-1] if variant.trained else {}
        frozen = Frozen(model.eval().encoder, pixel_scale(recipe.data))
        found = {
            "losses": {name: round(last[name], 4) for name in ("total", "pixel", "text") if name in last},
            "scores": {kind: _scores(frozen, recipe, kind, folder / FEATURES) for kind in variant.probes},
            "measured_as": digest,
            "seconds": round(seconds(), 1),
        }
    replace_text(file, json.dumps(found) + "\n")
    shutil.rmtree(folder / FEATURES, ignore_errors=True)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return found


def measured_as(variant: Variant, seed: int) -> str:
    """Hex digest of all that decides what is measured: recipe, probes, and the scenes of both."""
    world = open_world(WORLD).settings.fingerprint
    probes = {kind: PROBES[kind] for kind in variant.probes}
    about = (variant.seeded(seed), variant.trained, probes, PROBED_SCENES, PROBED_SEED, world)
    return blake2b(repr(about).encode(), digest_size=8).hexdigest()


def read_measures(folder: Path, digest: str) -> dict[str, Any] | None:
    """What was measured of a run before, None where nothing was; raises ValueError where that was another thing."""
    file = folder / MEASURES
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    if found.get("measured_as") != digest:
        raise ValueError(
            f"{file} was measured in another way: with another world, recipe, probe or scenes. Remove {folder}, or "
            "name another place for runs"
        )
    return found


def factor_scores(frozen: Frozen, pictures: Probed, probe: ProbeRecipe, features: Path) -> Scores:
    """The top-1 of a probe on every test set for every factor; features are kept in a folder."""
    tasks = probe_encoder(frozen, *pictures, probe, Storing(features)).tasks
    return {test: {task.name: round(task.by_test[test]["top1"].mean, 4) for task in tasks} for test in pictures.tests}


def _scores(frozen: Frozen, recipe: AblatedRecipe, kind: ProbeKind, features: Path) -> Scores:
    """Those of a kind of probe on seen and on held-out combinations."""
    data, size = recipe.data, recipe.encoder.image_size
    whole = Frozen(frozen.encoder, frozen.scale, pooled=kind != "attentive")
    return factor_scores(whole, _scenes(Preprocessing(data.mean, data.std, size, size)), PROBES[kind], features)


@lru_cache(maxsize=2)  # by a variant's own mean and deviation
def _scenes(seen: Preprocessing) -> Probed:
    """What is probed; pictures stay rendered from one variant to the next."""
    return open_factors(f"{WORLD}:{PROBED_SCENES}", seen, PROBED_SEED)
