"""Phantoms: generated picture-caption pairs whose best possible losses are known, and short training runs on them.

A scanner is tested on a phantom, a body whose inside is known. Here it is a source of pairs, and everything behind it
is the real thing: dataset, batches, model, objective, step and optimizer. So a fault in any of them is met.

Captions are letters: the first n of the four that a picture carries, n uniform on 1 … 4, then the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aimv2_lab.data.batches import PairDataset, batches
from aimv2_lab.data.records import Pair
from aimv2_lab.lessons.patch_toys import NOISE_FLOOR, TOY
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import Recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.step import loss_counts, train_step

Body = Literal["pictures", "noise"]
BODIES: tuple[Body, ...] = ("pictures", "noise")
HEALTHY = "healthy"
STORED = "bug_clinic"  # the stored result that `measure` makes
LETTERS = "abcdef"
PAD, END, FIRST_LETTER = 0, 1, 2
STEPS = 200

# All sizes and rates are our choice; a run takes seconds.
CLINIC: Recipe = TOY.change(
    {
        "name": "clinic",
        "decoder.vocabulary": 16,
        "decoder.text_tokens": 6,
        # The same for every channel, so that nothing is known about a patch of noise, not even that blue is brighter.
        "data.mean": (0.5, 0.5, 0.5),
        "data.std": (0.29, 0.29, 0.29),
        "training.steps": STEPS,
        "training.log_every": 1,
        "training.batch_size": 16,
        "training.micro_batch_size": 16,
    }
)

# Nats per token of the best possible guess. A caption's length costs ln 4 and each of its 2.5 letters ln 6, spread over
# 3.5 tokens; whoever sees the letters in the picture need not pay for them.
TEXT_FLOOR_UNSEEN = (math.log(4) + 2.5 * math.log(len(LETTERS))) / 3.5
TEXT_FLOOR_SEEN = math.log(4) / 3.5
PIXEL_FLOOR_NOISE = NOISE_FLOOR
# A fresh model's outputs have variance 1 / 13 per value (the heads' initialisation), and say nothing yet.
BLANK_PIXEL = NOISE_FLOOR + 1 / 13
BLANK_TEXT = math.log(CLINIC.decoder.vocabulary) + 1 / 26


class Curve(NamedTuple):
    """The two losses of every step."""

    pixel: list[float]
    text: list[float]


@dataclass(frozen=True)
class Phantom:
    """An endless-looking source of 8 x 8 pictures: a `Source`.

    "pictures": the four patches of the top row are letters, each a fixed pattern with a little grain, and every row
    repeats it. "noise": every pixel is drawn anew, and the caption's letters have nothing to do with it.
    """

    body: Body
    length: int = 4096

    @property
    def name(self) -> str:
        """Short readable name."""
        return f"phantom:{self.body}"

    @property
    def fingerprint(self) -> str:
        """The body and the length say everything."""
        return f"{self.name}:{self.length}"

    @property
    def shards(self) -> tuple[int, ...]:
        """One: there are no files."""
        return (self.length,)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Pair:
        draws = np.random.default_rng([index, self.body == "noise"])
        size, patch = CLINIC.encoder.image_size, CLINIC.encoder.patch_size
        letters = draws.integers(len(LETTERS), size=size // patch)
        if self.body == "noise":
            pixels = draws.integers(0, 256, (size, size, 3))
        else:
            row = np.concatenate(_patterns()[letters], axis=1)
            pixels = np.tile(row, (size // patch, 1, 1)) + draws.integers(-12, 13, (size, size, 3))
        caption = "".join(LETTERS[letter] for letter in letters[: draws.integers(1, len(letters) + 1)])
        return Pair(f"{self.body}-{index}", Image.fromarray(pixels.astype(np.uint8)), (caption,))


def _patterns() -> np.ndarray:
    """The pattern of every letter (letters, patch, patch, 3), the same always."""
    patch = CLINIC.encoder.patch_size
    return np.random.default_rng(7).integers(30, 226, (len(LETTERS), patch, patch, 3))


class LetterTokenizer:
    """One token for each letter, then the end."""

    pad_id = PAD

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
        """Tokens (B, T) and which of them count (B, T)."""
        rows = [torch.tensor([FIRST_LETTER + LETTERS.index(letter) for letter in text] + [END]) for text in texts]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)[:, :max_tokens]
        return tokens, tokens != PAD


def phantom_dataset(body: Body, seed: int = 0) -> PairDataset:
    """The phantom's pairs as a training run sees them."""
    return PairDataset(Phantom(body), LetterTokenizer(), CLINIC.change({"training.seed": seed}), training=True)


def clinic_model(recipe: Recipe = CLINIC) -> AIMv2:
    """The clinic's small model, freshly drawn from the recipe's seed."""
    model = build_model(recipe)
    assert isinstance(model, AIMv2)
    return model


def train_on(body: Body, steps: int = STEPS, seed: int = 0) -> Curve:
    """Train the clinic's small model on a phantom for the first `steps` of its schedule."""
    recipe = CLINIC.change({"training.seed": seed})
    engine = LocalEngine(clinic_model(recipe), recipe.training, torch.device("cpu"))
    curve = Curve([], [])
    for batch in batches(phantom_dataset(body, seed), recipe.training.batch_size, 0, steps, workers=0):
        result = train_step(engine, batch, loss_counts(batch, recipe), recipe)
        curve.pixel.append(result.pixel.item())
        curve.text.append(result.text.item())
    return curve
