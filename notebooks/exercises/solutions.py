"""Reference answers to the exercises: `solution_02a` answers exercise a of notebook 02.

Try first: a check tells what differs, and every exercise has two folded hints. The tests run each check on these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np
import torch
from torch import Tensor, nn

from aimv2_lab.model.objective import LossCounts
from aimv2_lab.recipes import TrainingRecipe

# --- Notebook 00: start here ---


def solution_00a(image_size: int, patch_size: int) -> int:
    """Patches along one side, squared; nothing else joins them, such as a class token."""
    return (image_size // patch_size) ** 2


# --- Notebook 01: a world small enough to understand ---


def solution_01a(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance past the nearer upright edge and past the nearer level edge; a point is inside only if it is in both."""
    return np.maximum(np.abs(x) - 0.8, np.abs(y) - 0.8)


# Sets that relate an object without describing it are drawn again. Of 3 facts: 20 sets without the direction, 15 - 6
# with it. Of 4 facts: 15 without, 20 - 2 with it. Both numbers of facts are equally frequent.
solution_01b = (9 / 29 + 18 / 33) / 2

solution_01c = "B"

solution_01d = 0.24  # of the 0.30 in the record; the rest happens to be true of another object

# --- Notebook 02: patches and the pixel target ---


def solution_02a(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Split all axes, bring each row of patches beside the row inside, and likewise the columns; join them."""
    rows, columns = grid
    split = patches.reshape(len(patches), rows, columns, patch_size, patch_size, 3)
    joined = split.permute(0, 5, 1, 3, 2, 4)  # batch, channel, row of patches, row, column of patches, column
    return joined.reshape(len(patches), 3, rows * patch_size, columns * patch_size)


solution_02b = 587 / 588  # (K - 1) / K with K = 14 * 14 * 3

solution_02c = "C"

solution_02d = 0.34  # less than for 8 x 8: a larger patch holds more than its average colour

# --- Notebook 03: prefix attention ---


def solution_03a(prefix_lengths: Tensor, patches: int) -> Tensor:
    """Key j is open to query i when it is not later, or when it lies in the image's prefix."""
    query, key = torch.arange(patches)[:, None], torch.arange(patches)
    return (key <= query) | (key < prefix_lengths[:, None, None, None])


# One prediction of each picture leaks: output M-1 sees patch M. On average I / 2 = 128 predictions count.
solution_03b = 1 / 128

solution_03c = "B"

solution_03d = 0.22  # mean of the last 50 of 300 steps, seed 0

# --- Notebook 04: the encoder, block by block ---


def solution_04a(norm_weight: Tensor, linear_weight: Tensor) -> Tensor:
    """Input d of the linear arrives multiplied by norm_weight[d], so column d of the weight can do it."""
    return linear_weight * norm_weight


solution_04b = 4 * 1024**2 + 3 * 1024 * 2816 + 2 * 1024  # attention, SwiGLU, two norms

solution_04c = "B"

solution_04d = 1.96  # four times the blocks, twice the root mean square

# --- Notebook 05: predict the next patch ---


def solution_05a(x: Tensor, first_norm: nn.Module, second_norm: nn.Module, mlp: nn.Module) -> Tensor:
    """Two sums into the residual stream; the first adds the normed stream itself, where attention would have been."""
    x = x + first_norm(x)
    return x + mlp(second_norm(x))


# In and out: 1536 * 2048 + 2048 and 2048 * 588 + 588. A block: two matrices of 2048 x 8192, two LayerNorms. The trunk
# with its patch embedding has 680,535,552.
solution_05b = 407_108_172 / (407_108_172 + 680_535_552)

solution_05c = "C"

solution_05d = 0.37  # 1.09 over 2.96; for standardised patches it is 1.13, worse than saying nothing

# --- Notebook 06: the multimodal decoder ---


def solution_06a(patches: int, tokens: int) -> Tensor:
    """Who may see whom is decided by the mask, wherever the slots are stored: picture first, then the caption."""
    mask = torch.zeros(tokens + patches, tokens + patches, dtype=torch.bool)
    mask[:tokens, :tokens] = torch.ones(tokens, tokens).tril()  # a word sees itself and the words before it
    mask[:tokens, tokens:] = True  # and the whole picture
    mask[tokens:, tokens:] = torch.ones(patches, patches).tril()  # a patch sees itself, the patches before it, no word
    return mask


# Without a cache step t computes 256 + t slots, t = 1 … 77; with it every slot passes once.
solution_06b = sum(256 + step for step in range(1, 78)) / (256 + 77)

solution_06c = "B"

solution_06d = 1.07  # between 0.82 with all features and about 1.15 of a language model

# --- Notebook 07: the objective ---


def solution_07a(
    errors: Tensor,
    nats: Tensor,
    counted_tokens: Tensor,
    prefix_lengths: Tensor,
    counts: LossCounts,
    pixel_weight: float,
) -> Tensor:
    """Sum what counts here, divide by what counts everywhere; 1 in place of 0 where nothing does."""
    counted = torch.arange(errors.shape[1]) >= prefix_lengths[:, None] - 1
    pixel = errors[counted].sum() / max(counts.patches, 1)
    text = nats[counted_tokens].sum() / max(counts.tokens, 1)
    return text + pixel_weight * pixel


# What zeros cost, and the variance of outputs that know nothing: 128 inputs, weights of variance 1 / (13 * 128).
solution_07b = 431 / 432 + 1 / 13

solution_07c = "B"

solution_07d = 1.40  # 0.60 over 0.43; 4.87 for an untrained model

# --- Notebook 08: pre-training ---


def solution_08a(step: int, training: TrainingRecipe) -> float:
    """A straight line up; then half a cosine wave from the peak to the minimum, reached by the last step."""
    if step < training.warmup_steps:
        done = step / training.warmup_steps
        return training.warmup_start_lr * (1 - done) + training.peak_lr * done
    done = (step - training.warmup_steps) / (training.steps - 1 - training.warmup_steps)
    height = (1 + math.cos(math.pi * done)) / 2  # 1 at the peak, 0 at the end
    return training.min_lr + height * (training.peak_lr - training.min_lr)


solution_08b = 309_197_824 * 4 * 4 / 1e9  # four numbers of four bytes per parameter

solution_08c = "B"

solution_08d = 1.32  # with warm-up it is 2.56

# --- Notebook 09: look inside ---


def solution_09a(own: Tensor, others: Tensor) -> Tensor:
    """The logarithm of a mean of probabilities: logsumexp adds them without ever leaving the logarithms."""
    return own - (others.logsumexp(dim=0) - math.log(len(others)))


solution_09b = math.log(7 / 2)  # 1/2 with the picture, because either object may be named first; 1/7 without

solution_09c = "B"

solution_09d = 0.56  # 0.38 before; the untrained encoder gains as much, 0.47 to 0.61

# --- Notebook 10: probing ---


def solution_10a(features: Tensor, query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Every head asks with its own part of the query, scores its part of the keys, and mixes its part of the values."""
    batch, patches, width = features.shape
    shape = (batch, patches, heads, width // heads)
    scores = ((features @ keys.T).view(shape) * query.view(heads, -1)).sum(dim=-1) / (width // heads) ** 0.5
    weights = scores.softmax(dim=1)  # (B, I, H): a head's weights sum to 1 over the patches
    return (weights[..., None] * (features @ values.T).view(shape)).sum(dim=1).flatten(1)


solution_10b = 0.5  # the two shapes are known, and either may be the large one's

solution_10c = "B"

solution_10d = 0.75  # more than the mean, 0.63, and less than what one query reads, 0.93
# --- Notebook 11: ablations and rivals ---


def solution_11a(default: Sequence[float], row: Sequence[float], t: float) -> tuple[float, float]:
    """Pair by pair first: what both seeds share goes out before any spread is measured."""
    differences = [mine - theirs for mine, theirs in zip(row, default, strict=True)]
    return mean(differences), t * stdev(differences) / math.sqrt(len(differences))


def solution_11b(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """The diagonal is right, along the rows and along the columns; the mean of both."""
    logits, own = scale * images @ texts.T, torch.arange(len(images))
    of_images, of_texts = (nn.functional.cross_entropy(one, own) for one in (logits, logits.T))
    return (of_images + of_texts) / 2


solution_11c = 1600 * 84_586_752 / 13_363_200

solution_11d = "B"

# --- Notebook 12: higher resolution and native resolution ---


def solution_12a(strip: Tensor, columns: int) -> Tensor:
    """Patches (3, p, p) in raster order, laid out in rows of `columns`; the number of rows follows."""
    size = strip.shape[1]
    patches = strip.view(3, size, -1, columns, size)  # channel, line, row of patches, column of patches, pixel
    return patches.transpose(1, 2).reshape(3, -1, columns * size)


solution_12b = 2_097_152 // 724  # 8,192 pictures of 256 patches are C; A is 2 to the 9.5

solution_12c = (616_562_688 * 4096 + 98_304 * 4096**2) / (16 * (616_562_688 * 256 + 98_304 * 256**2))

solution_12d = "B"

# --- Notebook 13: the hand-off ---


def solution_13a(step: int, batch_size: int, ranks: int, rank: int) -> list[int]:
    """The global batch is a run of consecutive positions; each rank takes one of its equal parts."""
    part = batch_size // ranks
    first = step * batch_size + rank * part
    return list(range(first, first + part))


# Whole weights, 4 bytes; a 64th of the gradients, 4, and of Adam's averages and the float32 copy, 12.
solution_13b = 2_944_189_440 * (4 + (4 + 12) / 64) / 1e9

solution_13c = "C"

solution_13d = 40.0  # 152 where every activation is kept
