"""What a model has learned of the generated world: true facts in its captions, shapes readable from its features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aimv2_lab.data.preprocessing import evaluation_view
from aimv2_lab.data.sources import open_source
from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.data.world.source import WorldSource
from aimv2_lab.evaluation.facts import FactScore, chance_scores, score_captions
from aimv2_lab.evaluation.features import frozen_features
from aimv2_lab.evaluation.probe import accuracy, train_probe
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.generation import generate
from aimv2_lab.recipes import AnyRecipe, DataRecipe

TESTED = range(512)  # held-out scenes on which captions and probes are tested
PROBE_TRAINED = range(512, 2048)  # held-out scenes on which probes are trained
SHOWN = range(4)  # held-out scenes that reports show: the first ones, so that none can be chosen


def world_source(recipe: AnyRecipe) -> WorldSource:
    """The held-out scenes of a recipe's world; raises ValueError when its data are no generated scenes."""
    source = open_source(recipe.data.source, "validation", recipe.data, recipe.encoder.image_size)
    if not isinstance(source, WorldSource):
        raise ValueError(f"generated scenes are needed, whose truth is known; data.source is {recipe.data.source!r}")
    return source


def world_pictures(source: WorldSource, indices: Sequence[int], data: DataRecipe, size: int) -> Tensor:
    """Normalised pictures (N, 3, size, size) of the scenes, as the encoder sees them at inference."""
    views = []
    for index in indices:
        image = source[index].image
        assert not isinstance(image, bytes)
        views.append(evaluation_view(image, data, size))
    return torch.stack(views)


def large_shapes(source: WorldSource, indices: Sequence[int]) -> Tensor:
    """The label (N,) of every scene: the shape of its largest object, numbered as in the world's settings."""
    shapes = [source.scene(index).largest.shape for index in indices]
    return torch.tensor([source.settings.shapes.index(shape) for shape in shapes])


def captions(model: AIMv2, images: Tensor, tokenizer: CaptionTokenizer, batch_size: int = 128) -> list[str]:
    """Greedy captions of normalised images (N, 3, height, width)."""
    device = next(model.parameters()).device
    found: list[str] = []
    for part in images.split(batch_size):
        found += [tokenizer.decode(row) for row in generate(model, part.to(device), tokenizer.end_id)]
    return found


@dataclass(frozen=True)
class CaptionTruth:
    """Facts of captions held against scenes: the model's own, the model's shown another picture, and true captions of
    other scenes (what knowing the language, but not the picture, is worth)."""

    generated: FactScore
    shuffled_pictures: FactScore
    other_scenes: FactScore


def caption_truth(texts: Sequence[str], source: WorldSource, indices: Sequence[int]) -> CaptionTruth:
    """Score greedy captions `texts` of the scenes.

    A decoder shown another picture writes that picture's caption, so shuffling the captions needs no second generation.
    """
    scenes = [source.scene(index) for index in indices]
    true_texts = [source[index].captions[0] for index in indices]
    return CaptionTruth(score_captions(texts, scenes), chance_scores(texts, scenes), chance_scores(true_texts, scenes))


def shape_accuracy(
    encoder: VisionEncoder,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    epochs: int = 30,
    peak_lr: float = 1e-3,
) -> float:
    """Test accuracy of an attentive probe on the frozen encoder; `train` and `test` are (images, labels)."""
    (train_images, train_labels), (test_images, test_labels) = train, test
    classes = int(train_labels.max()) + 1
    features, heads = frozen_features(encoder, train_images), encoder.recipe.heads
    probe = train_probe(features, train_labels, classes, heads, epochs=epochs, peak_lr=peak_lr)
    return accuracy(probe, frozen_features(encoder, test_images), test_labels)


@dataclass(frozen=True)
class WorldResult:
    """Everything measured on held-out scenes of the generated world."""

    generated: tuple[str, ...]  # captions of the TESTED scenes
    true_captions: tuple[str, ...]  # one true caption of each SHOWN scene
    truth: CaptionTruth
    shape_trained: float
    shape_untrained: float


def evaluate_world(model: AIMv2, untrained: AIMv2, source: WorldSource, tokenizer: CaptionTokenizer) -> WorldResult:
    """Test a trained model, and the untrained one of the same seed, on held-out scenes of `source`."""
    data, size = model.recipe.data, model.recipe.encoder.image_size
    test_images = world_pictures(source, TESTED, data, size)
    test = (test_images, large_shapes(source, TESTED))
    train = (world_pictures(source, PROBE_TRAINED, data, size), large_shapes(source, PROBE_TRAINED))
    texts = captions(model, test_images, tokenizer)
    return WorldResult(
        tuple(texts),
        tuple(source[index].captions[0] for index in SHOWN),
        caption_truth(texts, source, TESTED),
        shape_accuracy(model.encoder, train, test),
        shape_accuracy(untrained.encoder, train, test),
    )
