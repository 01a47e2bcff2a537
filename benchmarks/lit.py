"""LiT over the committed encoder, and over one of its sizes that was never trained; both towers trained, from each.

    python -m benchmarks.lit [--steps 300] [--seeds 0 1 2] [--kinds frozen untrained trained clip]

A seed draws the order of the scenes, the captions and the weights. Measured on 512 held-out scenes of the generated
world: the shape of the large object by the names of the five shapes in six templates (zero-shot), and whether a picture
finds its caption, and a caption its picture, among all 512 (recall@1; one that reads the same counts). One thread;
seconds are this process's processor time, opening and validation included.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import tyro

from aimv2_lab.evaluation.world import TESTED, large_shapes, world_pictures, world_source
from aimv2_lab.evaluation.zero_shot import embed_classes, embed_images, embed_texts, recall_at_1, zero_shot_accuracy
from aimv2_lab.formats.folder import RECIPE_FILE, load_model, read_recipe, save_model
from aimv2_lab.formats.load import towers_tokenizer
from aimv2_lab.lessons.trained import TRAINED
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import recipe
from aimv2_lab.recipes.continuations import lit_recipe
from aimv2_lab.training.loop import build_model, pretrain

TEMPLATES = ("a {}.", "a large {}.", "a big {}.", "we see a large {}.", "there is a big {}.", "the picture shows a {}.")

KINDS = ("frozen", "untrained", "trained", "clip")


class Outcome(NamedTuple):
    """Shares of 512, and processor seconds."""

    zero_shot: float
    text_of_picture: float
    picture_of_text: float
    seconds: float


def outcome(start: Path, seed: int, steps: int, changes: dict[str, Any]) -> Outcome:
    """One run from the checkpoint, in a folder that is removed."""
    often = {f"training.{name}": steps for name in ("steps", "log_every", "validate_every", "checkpoint_every")}
    plan = lit_recipe(str(start), read_recipe(start / RECIPE_FILE), "tiny")
    plan = plan.change({**often, "training.seed": seed, **changes})
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        pretrain(plan, Path(folder) / "run")
        towers, tokenizer = load_model(Path(folder) / "run"), towers_tokenizer(Path(folder) / "run")
    assert isinstance(towers, TwoTowers)
    seconds, source = time.process_time() - started, world_source(plan)
    images = embed_images(towers, world_pictures(source, TESTED, plan.data, plan.encoder.image_size))
    classes = embed_classes(towers, tokenizer, source.settings.shapes, TEMPLATES)
    written = [source[index].captions[0] for index in TESTED]
    texts = embed_texts(towers, tokenizer, written)
    found = zero_shot_accuracy(images, classes, large_shapes(source, TESTED))
    return Outcome(found, recall_at_1(images, texts, written), recall_at_1(texts, images, written), seconds)


def main(steps: int = 300, seeds: tuple[int, ...] = (0, 1, 2), kinds: tuple[str, ...] = KINDS) -> None:
    """Print every seed's outcome and the means."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as untrained:
        save_model(Path(untrained), build_model(recipe("tiny")))
        known: dict[str, tuple[Path, dict[str, Any]]] = {
            "frozen": (TRAINED, {}),
            "untrained": (Path(untrained), {}),
            "trained": (TRAINED, {"image_tower": "trained"}),
            "clip": (Path(untrained), {"image_tower": "trained"}),
        }
        for name in kinds:
            start, changes = known[name]
            found = [outcome(start, seed, steps, changes) for seed in seeds]
            for column, values in zip(Outcome._fields, zip(*found, strict=True), strict=True):
                spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
                each = ", ".join(f"{value:.3f}" for value in values)
                print(f"{name}: {column} {statistics.mean(values):.3f}{spread} ({each})", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
