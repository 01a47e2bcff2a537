"""What the faults do in place of the right code: each function has the signature of the one it stands for.

Inside a replacement the name of the exchanged function means the original (see `exchange`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from aimv2_lab.data.batches import Batch, PairDataset, Sample, batches
from aimv2_lab.data.transforms import PixelScale
from aimv2_lab.lessons.encoder_mistakes import MISTAKES
from aimv2_lab.model.decoder import MultimodalDecoder, Predictions
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.layers import SwiGLU
from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.model.objective import pixel_targets
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.recipes import PixelTarget, TrainingRecipe
from aimv2_lab.training.optimizers.building import learning_rate


def own_patches_as_targets(images: Tensor, patch_size: int, target: PixelTarget = "standardised") -> Tensor:
    """For `pixel_targets`: output i is compared with patch i."""
    patches = patchify(images, patch_size)[:, :-1]
    return patches if target == "raw" else standardise(patches).values


def raw_patches_as_targets(images: Tensor, patch_size: int, target: PixelTarget = "standardised") -> Tensor:
    """For `pixel_targets`: patches as they are, not standardised."""
    return pixel_targets(images, patch_size, "raw")


def all_outputs_counted(prefix_lengths: Tensor, patches: int) -> Tensor:
    """For `counted_outputs`: those inside the prefix count, too."""
    return torch.ones(len(prefix_lengths), patches - 1, dtype=torch.bool, device=prefix_lengths.device)


def all_patches_counted(batch: Batch, patches: int) -> int:
    """For `Batch.counted_patches`: the normaliser that goes with `all_outputs_counted`."""
    return len(batch) * (patches - 1)


def flipped_mask(prefix_lengths: Tensor, patches: int) -> Tensor:
    """For `prefix_mask`: True means hidden."""
    return ~prefix_mask(prefix_lengths, patches)


def one_prefix_for_all(dataset: PairDataset, samples: Sequence[Sample]) -> Batch:
    """For `PairDataset.collate`: the whole batch takes the first image's prefix length."""
    batch = PairDataset.collate(dataset, samples)
    return replace(batch, prefix_lengths=torch.full_like(batch.prefix_lengths, samples[0].prefix_length))


def padding_counted(dataset: PairDataset, samples: Sequence[Sample]) -> Batch:
    """For `PairDataset.collate`: every token of the padded rectangle counts."""
    batch = PairDataset.collate(dataset, samples)
    return replace(batch, counted=torch.ones_like(batch.counted))


def prefixes_without_rank(
    dataset: PairDataset,
    batch_size: int,
    start_position: int,
    steps: int,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
    *,
    pinned: bool = False,
) -> Iterator[Batch]:
    """For `batches`: prefix lengths come from a generator keyed by seed and step, but not by position, hence rank."""
    found = batches(dataset, batch_size, start_position, steps, workers, rank, world_size, pinned=pinned)
    return (_with_prefixes(batch, dataset, start_position + step) for step, batch in enumerate(found))


def _with_prefixes(batch: Batch, dataset: PairDataset, key: int) -> Batch:
    draws = torch.Generator().manual_seed(1_000_003 * dataset.seed + key)
    lengths = torch.randint(1, dataset.recipe.encoder.patches, (len(batch),), generator=draws)
    return replace(batch, prefix_lengths=lengths)


def raw_pixels(pictures: Tensor, scale: PixelScale) -> Tensor:
    """For `transforms.normalise`: 0 … 255, as the file has them."""
    return pictures.to(torch.float32)


def text_before_image(
    decoder: MultimodalDecoder, features: Tensor, tokens: Tensor, text_slots: Tensor | None = None
) -> Predictions:
    """For `MultimodalDecoder.forward`: the caption comes first in the sequence."""
    length = tokens.shape[1]
    hidden = decoder.run(torch.cat([decoder.embed_text(tokens), decoder.projection(features)], dim=1))
    logits = decoder.text_head(hidden[:, :length])
    wanted = logits if text_slots is None else logits.flatten(0, 1)[text_slots]
    return Predictions(decoder.pixel_head(hidden[:, length:]), wanted)


def no_positions(encoder: VisionEncoder, rows: int, columns: int, tokens: Tensor) -> Tensor:
    """For `VisionEncoder._positions`: nothing is added."""
    return torch.zeros_like(tokens[0])


def built_with(mistake: str) -> Callable[[VisionEncoder], None]:
    """For `VisionEncoder._initialise`: every encoder that is built has a mistake of `encoder_mistakes`."""

    def initialise(encoder: VisionEncoder) -> None:
        encoder._initialise()
        MISTAKES[mistake](encoder)

    return initialise


def up_through_silu(layer: SwiGLU, x: Tensor) -> Tensor:
    """For `SwiGLU.forward`: the nonlinearity is on the other factor."""
    return layer.down(functional.silu(layer.up(x)) * layer.gate(x))


def everything_decays(name: str, parameter: Tensor) -> bool:
    """For `decays`: norms, biases, positions and the start vector, too."""
    return True


def ten_times_the_rate(step: int, training: TrainingRecipe) -> float:
    """For `learning_rate`: one zero too few behind the point."""
    return 10 * learning_rate(step, training)
