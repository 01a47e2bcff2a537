"""All kinds of recipes together: read whatever kind a text holds, and compare two."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TypeGuard

from aimv2_lab.fields import leaves
from aimv2_lab.recipes.contrastive import ContrastiveRecipe
from aimv2_lab.recipes.distillation import DistillationRecipe
from aimv2_lab.recipes.finetuning import FinetuneRecipe
from aimv2_lab.recipes.masked_image import MaskedImageRecipe
from aimv2_lab.recipes.pretraining import AIMv1Recipe, Recipe

PretrainingRecipe = Recipe | AIMv1Recipe
# Whose loss is a sum over pairs.
AdditiveRecipe = PretrainingRecipe | MaskedImageRecipe | FinetuneRecipe | DistillationRecipe
AnyRecipe = AdditiveRecipe | ContrastiveRecipe

_KINDS: dict[str, type[AnyRecipe]] = {
    "head": AIMv1Recipe,
    "text": ContrastiveRecipe,
    "classes": FinetuneRecipe,
    "teacher": DistillationRecipe,
    "hidden_share": MaskedImageRecipe,
}


def any_recipe_from_json(text: str) -> AnyRecipe:
    """Read any kind of recipe, as `from_json` does; each has a field that the others lack."""
    values = json.loads(text)
    found = next((kind for name, kind in _KINDS.items() if name in values), Recipe)
    return found.from_json(text)


def is_native(recipe: AnyRecipe) -> TypeGuard[Recipe]:
    """Whether the pictures' sizes differ from step to step: only recipes of AIMv2 have such."""
    return isinstance(recipe, Recipe) and recipe.resolution.native


def differences(old: AnyRecipe, new: AnyRecipe) -> dict[str, tuple[Any, Any]]:
    """Dotted path -> (old value, new value) for every field in which two recipes differ; None where one lacks it."""
    before, after = dict(leaves(asdict(old))), dict(leaves(asdict(new)))
    paths = [*before, *(path for path in after if path not in before)]
    return {path: (before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)}
