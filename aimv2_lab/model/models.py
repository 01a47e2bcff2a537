"""Any model from its recipe."""

from __future__ import annotations

from typing import overload

from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.classifier import Classifier
from aimv2_lab.model.distillation import Distillation
from aimv2_lab.model.masked_image import MaskedImageModel
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import (
    AIMv1Recipe,
    AnyRecipe,
    ContrastiveRecipe,
    DistillationRecipe,
    FinetuneRecipe,
    MaskedImageRecipe,
    PretrainingRecipe,
    Recipe,
)

PretrainingModel = AIMv2 | AIMv1
AnyModel = PretrainingModel | MaskedImageModel | Classifier | TwoTowers | Distillation


@overload
def model_of(recipe: Recipe) -> AIMv2: ...
@overload
def model_of(recipe: AIMv1Recipe) -> AIMv1: ...
@overload
def model_of(recipe: MaskedImageRecipe) -> MaskedImageModel: ...
@overload
def model_of(recipe: FinetuneRecipe) -> Classifier: ...
@overload
def model_of(recipe: ContrastiveRecipe) -> TwoTowers: ...
@overload
def model_of(recipe: DistillationRecipe) -> Distillation: ...
@overload
def model_of(recipe: PretrainingRecipe) -> PretrainingModel: ...
@overload
def model_of(recipe: AnyRecipe) -> AnyModel: ...
def model_of(recipe: AnyRecipe) -> AnyModel:
    """The model that a recipe describes, drawn from torch's global generator."""
    if isinstance(recipe, FinetuneRecipe):
        return Classifier(recipe)
    if isinstance(recipe, ContrastiveRecipe):
        return TwoTowers(recipe)
    if isinstance(recipe, DistillationRecipe):
        return Distillation(recipe)
    if isinstance(recipe, MaskedImageRecipe):
        return MaskedImageModel(recipe)
    return AIMv1(recipe) if isinstance(recipe, AIMv1Recipe) else AIMv2(recipe)
