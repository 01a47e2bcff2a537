"""A language model of the generated world: the decoder trained on captions without any picture."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.data.world.source import open_world
from aimv2_lab.lessons.decoder_variants import Decode
from aimv2_lab.model.decoder import MultimodalDecoder
from aimv2_lab.model.objective import text_errors
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.training.optimizers.building import build_optimizer, learning_rate

SCENES = 1500  # whose captions are read, four of each; our choice, and so are the rate and the warm-up
SCHEDULE = {"training.peak_lr": 2e-3, "training.warmup_steps": 20}


class LanguageRun(NamedTuple):
    """A decoder in evaluation mode that has never seen a picture, and the caption loss of every step."""

    decoder: MultimodalDecoder
    losses: list[float]


def no_picture(decoder: MultimodalDecoder, captions: int) -> Tensor:
    """Features (B, 0, feature width) of pictures without patches: all that is left is the caption."""
    return torch.empty(captions, 0, decoder.projection.in_features)


def train_language_model(
    steps: int, decode: Decode = MultimodalDecoder.forward, seed: int = 0, plan: Recipe | None = None
) -> LanguageRun:
    """Train a decoder of the recipe's size (default: `tiny`) on captions alone, a batch of the recipe's in each step.

    `decode` may be another way to decode on the same weights. Nothing of it depends on torch's global generator.
    """
    plan = (plan or recipe("tiny")).change({"training.steps": steps, **SCHEDULE})
    tokens, counted = _captions(plan)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = MultimodalDecoder(plan.decoder, plan.encoder.width, plan.encoder.patch_values)
    optimizer, draws = build_optimizer(decoder, plan.training), torch.Generator().manual_seed(seed)
    losses = []
    for step in range(steps):
        rows = torch.randint(len(tokens), (plan.training.batch_size,), generator=draws)
        said = decode(decoder, no_picture(decoder, len(rows)), tokens[rows])
        loss = text_errors(said.logits, tokens[rows])[counted[rows]].mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, plan.training)
        optimizer.step()
        losses.append(loss.item())
    return LanguageRun(decoder.eval(), losses)


def _captions(plan: Recipe) -> tuple[Tensor, Tensor]:
    """The captions of the first training scenes, no picture rendered: tokens and which of them count, (N, T)."""
    source, tokenizer = open_world(plan.data.source), load_tokenizer(plan.data.tokenizer)
    texts = [caption.text for scene in range(SCENES) for caption in source.captions(scene)]
    return tokenizer.encode(texts, plan.decoder.text_tokens)
