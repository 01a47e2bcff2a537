"""What a finished run is worth, as named numbers: the same for every recipe of the generated world."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.evaluation.next_patch import error_by_attention
from aimv2_lab.evaluation.world import (
    PROBE_TRAINED,
    TESTED,
    caption_truth,
    captions,
    large_shapes,
    shape_accuracy,
    world_pictures,
    world_source,
)
from aimv2_lab.formats.folder import TOKENIZER
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.models import AnyModel
from aimv2_lab.training.run.folder import read_metrics


def measure_run(model: AnyModel, run: Path) -> dict[str, float]:
    """Held-out losses at the end, probed shapes of large objects, and for a model that writes, true facts.

    Everything is measured on the same held-out scenes, whatever the seed; the encoder sees pictures whole. Shares lie
    in 0 … 1. AIM v1's also have next-patch errors under causal and under open attention.
    """
    recipe = model.recipe
    source, size = world_source(recipe), recipe.encoder.image_size
    last = read_metrics(run, "validation")[-1]
    found = {"pixel": last["pixel"], "text": last["text"]}
    test = (world_pictures(source, TESTED, recipe.data, size), large_shapes(source, TESTED))
    train = (world_pictures(source, PROBE_TRAINED, recipe.data, size), large_shapes(source, PROBE_TRAINED))
    found["shape_probe"] = shape_accuracy(model.encoder, train, test)
    if isinstance(model, AIMv1):
        # What pixels alone have taught shows only to a probe that is trained for longer.
        found["shape_probe_long"] = shape_accuracy(model.encoder, train, test, epochs=80, peak_lr=3e-3)
        found |= opened_errors(model, test[0])
    if isinstance(model, AIMv2):
        texts = captions(model, test[0], load_tokenizer(str(run / TOKENIZER)))
        truth = caption_truth(texts, source, TESTED)
        found["true_facts"] = truth.generated.true_share
        found["facts_per_caption"] = truth.generated.facts_per_caption
    return found


def opened_errors(model: AnyModel, images: Tensor) -> dict[str, float]:
    """Mean next-patch error when visible patches see earlier ones only, and when they all see each other."""
    causal, opened = error_by_attention(model, images)
    return {"pixel_causal": causal.mean().item(), "pixel_opened": opened.mean().item()}
