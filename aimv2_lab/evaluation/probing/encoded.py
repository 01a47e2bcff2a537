"""Batches of pictures encoded by all ranks together: each encodes its share of every batch, and all get the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed
from torch.utils.data import Dataset

from aimv2_lab.evaluation.padded import Padded, end_to_end
from aimv2_lab.evaluation.probing.encoding import Frozen
from aimv2_lab.evaluation.probing.pictures import Seen, SeenBatch, seen_batches
from aimv2_lab.training.ranks import ALONE, Ranks


class EncodedBatch(NamedTuple):
    """The sound ones of a batch of pictures, B of them: features (B, I, D), padded where sizes differ, or (B, D) where
    pooled, on the encoder's device, and labels (B, tasks) on the CPU; and what is wrong with the others, in words."""

    features: Tensor | Padded
    labels: Tensor
    damaged: tuple[str, ...]


def encoded_batches(
    frozen: Frozen, pictures: Dataset[Seen], batches: Sequence[np.ndarray], workers: int, ranks: Ranks = ALONE
) -> Iterator[EncodedBatch]:
    """The pictures of some batches of indices, in that order, on every rank; called by all of them.

    Features are those of one process to rounding. Raises what reading and encoding do, and RankFailed on all ranks
    where one of several meets it alone.
    """
    shares = [np.array_split(batch, ranks.size)[ranks.rank] for batch in batches]
    found = seen_batches(pictures, shares, workers, pinned=frozen.device.type == "cuda")
    for _ in batches:
        share, features = ranks.together(lambda: _encoded(frozen, next(found)))
        yield EncodedBatch(features, share.labels, share.damaged) if ranks.size == 1 else _whole(share, features, ranks)


def _encoded(frozen: Frozen, share: SeenBatch) -> tuple[SeenBatch, Tensor | Padded]:
    nothing = (0,) if frozen.pooled else (0, 0, 0)
    features = frozen(share.pictures) if len(share.pictures) else torch.empty(nothing, device=frozen.device)
    return share, features


def _whole(share: SeenBatch, features: Tensor | Padded, ranks: Ranks) -> EncodedBatch:
    """All ranks' shares, one after the other; each says first how much it has, which damaged pictures make less.

    Patch features travel as patches, because a share's pictures may have other sizes than another's.
    """
    pooled = isinstance(features, Tensor) and features.ndim < 3
    rows, counts = (features, torch.empty(0)) if pooled else end_to_end(features)
    assert isinstance(rows, Tensor)
    told = ranks.gather((rows.shape, counts, share.labels, share.damaged))
    shapes, of_ranks, labels, damaged = zip(*told, strict=True)
    sound = [of_rank for of_rank in labels if len(of_rank)]
    if sound:
        whole = gathered_rows(rows, shapes)
        features = whole if pooled else _pictures(whole, torch.cat(of_ranks))
    return EncodedBatch(
        features,
        torch.cat(sound) if sound else share.labels,
        tuple(text for of_rank in damaged for text in of_rank),
    )


def _pictures(patches: Tensor, counts: Tensor) -> Tensor | Padded:
    """Features of pictures from their patches (sum of the counts, D): (B, I, D) where all have as many."""
    if len(counts.unique()) == 1:
        return patches.view(len(counts), -1, patches.shape[-1])
    return Padded.of(patches, counts.to(patches.device))


def gathered_rows(rows: Tensor, shapes: Sequence[torch.Size]) -> Tensor:
    """The rows (b, …) of every rank, one rank's after the other's, on every rank: (B, …).

    `shapes` are those of all ranks' rows; one of them has some. Over the devices' own process group, whose messages are
    of one length: fewer rows than another rank's travel with padding.
    """
    sizes = [shape[0] for shape in shapes]
    most, sent = max(sizes), rows.contiguous()
    if len(rows) < most:
        sent = rows.new_zeros(shapes[sizes.index(most)])
        sent[: len(rows)] = rows.view(len(rows), *sent.shape[1:])
    found = sent.new_empty(len(sizes) * most, *sent.shape[1:])
    distributed.all_gather_into_tensor(found, sent)
    if min(sizes) == most:
        return found
    return torch.cat([of_rank[:size] for of_rank, size in zip(found.split(most), sizes, strict=True)])
