"""Pictures of many sizes in one batch: each a strip of its patches, padded to the longest, and how the blocks of a
transformer run over them without a slot of padding reaching a slot of a picture.

Shapes: B pictures of at most N patches, T slots of a sequence (patches, or patches and text), D width; S rows of L
slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aimv2_lab.model.masks import prefix_mask


@dataclass(frozen=True)
class Rows:
    """Sequences without their padding, one after the other in rows: what the blocks run over, and the way back.

    `places` (S, L) says which of the B * T slots stands where, `back` (B * T,) where each stands; `sequence` (S, L) is
    the number of the sequence there, -1 behind the last, and `order` (S, L) the slot's place in it. Of `single` rows
    each has one sequence, so that a causal mask needs no more.
    """

    places: Tensor
    back: Tensor
    sequence: Tensor
    order: Tensor
    single: bool

    def pack(self, slots: Tensor) -> Tensor:
        """Slots (B, T, D) in rows (S, L, D); padding at a row's end repeats a slot, and nothing reads it."""
        return slots.flatten(0, 1).index_select(0, self.places.flatten()).view(*self.places.shape, -1)

    def unpack(self, rows: Tensor, batch: int) -> Tensor:
        """Rows (S, L, D) as slots (B, T, D) again; what was padding there is another slot's, and means nothing."""
        return rows.flatten(0, 1).index_select(0, self.back).view(batch, -1, rows.shape[-1])

    def mask(self, visible: Tensor | None = None) -> Tensor:
        """(S, 1, L, L): a slot sees those of its own sequence that are not behind it, or among the first `visible`
        (B,) of it. Padding sees itself, because a softmax over nothing is no number."""
        same = (self.sequence[:, :, None] == self.sequence[:, None, :]) & (self.sequence[:, None, :] >= 0)
        seen = self.order[:, None, :] <= self.order[:, :, None]
        if visible is not None:
            seen |= (self.order < visible[self.sequence.clamp(min=0)])[:, None, :]
        itself = torch.eye(self.places.shape[1], dtype=torch.bool, device=self.places.device)
        return (same & seen | itself)[:, None]

    def to(self, device: torch.device) -> Rows:
        """The same on a device."""
        names = ("places", "back", "sequence", "order")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


def lay_rows(used: Tensor, capacity: int | None = None) -> Rows:
    """Rows for the slots that `used` (B, T) bool names, on the CPU: one sequence in each, or several, first fit from
    the longest on, in rows of `capacity` slots (more where a sequence alone has more)."""
    batch, slots = used.shape
    lengths = used.sum(dim=1)
    row_of, start_of = _fitted(lengths.tolist(), capacity)
    inside = (used.cumsum(dim=1) - 1)[used]  # each slot's place in its sequence
    number = torch.arange(batch)[:, None].expand(batch, slots)[used]
    row, column = row_of[number], start_of[number] + inside
    shape = (int(row_of.max()) + 1, max(int((start_of + lengths).max()), 1))
    places, order = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    sequence, back = torch.full(shape, -1), torch.zeros(batch, slots, dtype=torch.int64)
    places[row, column], order[row, column] = used.flatten().nonzero()[:, 0], inside
    sequence[row, column] = number
    back[used] = row * shape[1] + column
    return Rows(places, back.flatten(), sequence, order, capacity is None)


def _fitted(lengths: Sequence[int], capacity: int | None) -> tuple[Tensor, Tensor]:
    """The row of every sequence and where it starts there."""
    rows, starts, ends = [*range(len(lengths))], [0] * len(lengths), list[int]()
    if capacity is not None:
        for number in sorted(rows, key=lambda n: -lengths[n]):
            free = (row for row, end in enumerate(ends) if end + lengths[number] <= capacity)
            row = next(free, len(ends))
            ends += [0] if row == len(ends) else []
            rows[number], starts[number] = row, ends[row]
            ends[row] += lengths[number]
    return torch.tensor(rows), torch.tensor(starts)


@dataclass(frozen=True)
class Strips:
    """How pictures lie in a batch of strips: of each, `patch_counts` (B,) patches, `columns` (B,) in a row.

    `padded` says whether any strip is longer than its picture. `encoder_rows` are there where several pictures share a
    row; `decoder_rows` where there is a decoder. A dataclass, and no tuple, which DeepSpeed would take apart.
    """

    patch_counts: Tensor
    columns: Tensor
    padded: bool
    encoder_rows: Rows | None = None
    decoder_rows: Rows | None = None

    def to(self, device: torch.device) -> Strips:
        """The same on a device."""
        encoder_rows, decoder_rows = (
            None if rows is None else rows.to(device) for rows in (self.encoder_rows, self.decoder_rows)
        )
        counts, columns = (tensor.to(device, non_blocking=True) for tensor in (self.patch_counts, self.columns))
        return Strips(counts, columns, self.padded, encoder_rows, decoder_rows)

    def coordinates(self, patches: int) -> tuple[Tensor, Tensor]:
        """Column and row (B, N) of every patch in its picture; those of padding go on below it."""
        index, columns = torch.arange(patches, device=self.columns.device), self.columns[:, None]
        return index % columns, index // columns

    def mask(self, prefix_lengths: Tensor | None, patches: int) -> Tensor | None:
        """Who may see whom in the encoder, one picture in a row: None where all may see all.

        A prefix mask (B, 1, N, N) hides padding, which lies behind its picture, from all of the picture. Without
        prefixes one row (B, 1, 1, N), the same for all, does: it grows with the patches, and not with their square.
        """
        if prefix_lengths is not None:
            return prefix_mask(prefix_lengths, patches)
        if not self.padded:
            return None
        return (torch.arange(patches, device=self.columns.device) < self.patch_counts[:, None])[:, None, None]
