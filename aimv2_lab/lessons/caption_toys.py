"""Short runs on generated pairs that differ in one thing alone: which tokens of a batch count.

The tokenizer pads with its own end token, as SigLIP's does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from aimv2_lab.data.batches import Batch, PairDataset, batches
from aimv2_lab.data.sources import open_source
from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.world import world_pictures
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.generation import generate
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.step import loss_counts, train_step

CountRule = Callable[[Batch], Tensor]  # which tokens (B, T) of a batch count

# The smallest model that learns to write whole captions within a hundred steps. All sizes and rates are our choice.
TALKER: Recipe = recipe(
    "tiny",
    {
        "name": "talker",
        "data.source": "world:easy:512",
        "encoder.width": 64,
        "encoder.depth": 1,
        "encoder.heads": 2,
        "encoder.hidden": 128,
        "decoder.width": 64,
        "decoder.depth": 2,
        "decoder.heads": 2,
        "decoder.hidden": 128,
        "training.steps": 100,
        "training.peak_lr": 3e-3,
        "training.warmup_steps": 15,
    },
)
ASKED = 64  # held-out scenes that a talker is asked about


class TalkerRun(NamedTuple):
    """A trained talker, in evaluation mode, and the caption loss of every step."""

    model: AIMv2
    losses: list[float]


def by_length(batch: Batch) -> Tensor:
    """The right rule: a caption counts to its first end token, which counts, too; the tokenizer knows its length."""
    return batch.counted


def everything(batch: Batch) -> Tensor:
    """Every token of the padded rectangle."""
    return torch.ones_like(batch.counted)


def not_the_padding_id(batch: Batch) -> Tensor:
    """What `ignore_index=pad_id` does: no token with the id of the padding counts, which is the end token's as well."""
    return batch.tokens != padding_is_end().pad_id


def padding_is_end() -> CaptionTokenizer:
    """The world's tokenizer, but padding with its end token."""
    tokenizer = load_tokenizer("world")
    return replace(tokenizer, pad_id=tokenizer.end_id)


def talker_batches() -> list[Batch]:
    """The batches of a run, made once for all runs."""
    source = open_source(TALKER.data.source, "train", TALKER.data, TALKER.encoder.image_size)
    dataset = PairDataset(source, padding_is_end(), TALKER, training=True)
    return list(batches(dataset, TALKER.training.batch_size, 0, TALKER.training.steps, workers=0))


def train_talker(given: Sequence[Batch], rule: CountRule) -> TalkerRun:
    """Train on the batches in order, with the tokens counting that the rule says."""
    engine = LocalEngine(build_model(TALKER), TALKER.training, torch.device("cpu"))
    caption_losses = []
    for batch in given:
        seen = replace(batch, counted=rule(batch))
        caption_losses.append(train_step(engine, seen, loss_counts(seen, TALKER), TALKER).text.item())
    return TalkerRun(engine.model.eval(), caption_losses)


def written(model: AIMv2) -> list[list[int]]:
    """Greedy captions of held-out scenes as token ids, up to the first end token or the recipe's limit."""
    source, size = open_world(TALKER.data.source, "validation"), TALKER.encoder.image_size
    end = padding_is_end().end_id
    rows = generate(model, world_pictures(source, range(ASKED), TALKER.data, size), end).tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in rows]


def share_that_ends(captions: Sequence[Sequence[int]]) -> float:
    """The share of captions, 0 … 1, whose last token is the end token."""
    end = padding_is_end().end_id
    return sum(caption[-1] == end for caption in captions) / len(captions)
