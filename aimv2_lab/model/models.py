"""Either model from its recipe."""

from __future__ import annotations

from typing import overload

from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import AIMv1Recipe, AnyRecipe, Recipe

AnyModel = AIMv2 | AIMv1


@overload
def model_of(recipe: Recipe) -> AIMv2: ...
@overload
def model_of(recipe: AIMv1Recipe) -> AIMv1: ...
def model_of(recipe: AnyRecipe) -> AnyModel:
    """The model that a recipe describes, drawn from torch's global generator."""
    return AIMv1(recipe) if isinstance(recipe, AIMv1Recipe) else AIMv2(recipe)
