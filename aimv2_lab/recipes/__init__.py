"""Every number of a run, in frozen dataclasses, and the named presets: the one dial of the project.

`recipe("tiny")` trains on a laptop in minutes, `recipe("aimv2-large-224")` is the paper's model, `recipe("aim-600m")`
its predecessor, AIM v1. A recipe says everything that decides a result: two runs with equal recipes, data and software
see the same batches and draw the same prefixes. `published` says of every number of a full-scale preset where it comes
from.

Sources in this package's comments: "paper" is AIMv2 (arXiv 2411.14402), "AIM v1" its predecessor (arXiv 2401.08541),
"released code" is Apple's public inference and training code, "our choice" is ours.
"""

from aimv2_lab.recipes.contrastive import ContrastiveRecipe, TextTowerRecipe
from aimv2_lab.recipes.data import CLASSES, IMAGENET_MEAN, IMAGENET_STD, DataRecipe, MixturePart
from aimv2_lab.recipes.decoder import (
    DecoderRecipe,
    EncoderAttention,
    ObjectiveRecipe,
    PatchOrder,
    PixelHeadRecipe,
    PixelTarget,
)
from aimv2_lab.recipes.distillation import DistillationRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.finetuning import FinetuneRecipe
from aimv2_lab.recipes.kinds import (
    AdditiveRecipe,
    AnyRecipe,
    PretrainingRecipe,
    any_recipe_from_json,
    differences,
    is_native,
)
from aimv2_lab.recipes.masked_image import MaskedDecoderRecipe, MaskedImageRecipe
from aimv2_lab.recipes.presets import PRESETS, recipe
from aimv2_lab.recipes.pretraining import AIMv1Recipe, Recipe
from aimv2_lab.recipes.published import PAPER_DECODER
from aimv2_lab.recipes.resolution import ResolutionRecipe
from aimv2_lab.recipes.rivals import RIVALS, Rival, RivalRecipe, rival
from aimv2_lab.recipes.training import EngineRecipe, OptimizerName, TrainingRecipe

__all__ = [
    "CLASSES",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PAPER_DECODER",
    "PRESETS",
    "RIVALS",
    "AIMv1Recipe",
    "AdditiveRecipe",
    "AnyRecipe",
    "ContrastiveRecipe",
    "DataRecipe",
    "DecoderRecipe",
    "DistillationRecipe",
    "EncoderAttention",
    "EncoderRecipe",
    "EngineRecipe",
    "FinetuneRecipe",
    "MaskedDecoderRecipe",
    "MaskedImageRecipe",
    "MixturePart",
    "ObjectiveRecipe",
    "OptimizerName",
    "PatchOrder",
    "PixelHeadRecipe",
    "PixelTarget",
    "PretrainingRecipe",
    "Recipe",
    "ResolutionRecipe",
    "Rival",
    "RivalRecipe",
    "TextTowerRecipe",
    "TrainingRecipe",
    "TrunkRecipe",
    "any_recipe_from_json",
    "differences",
    "is_native",
    "recipe",
    "rival",
]
