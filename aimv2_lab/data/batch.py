"""One sample and one batch, and how a batch is cut into micro-batches without computing with padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from aimv2_lab.data.damage import Replacement
from aimv2_lab.data.transforms import PixelScale, normalise

CAPTION_MULTIPLE = 8  # a micro-batch's captions are cut to a multiple, so that there are few shapes; our choice


@dataclass(frozen=True)
class Sample:
    """One position of a run: 8-bit picture (3, height, width), tokens (T,), which count (T,), and prefix length M.

    Whether the caption is predicted all at once, where a recipe has such, and for masked image modelling an order (I,)
    of the patches, the visible ones first.
    """

    picture: Tensor
    tokens: Tensor
    counted: Tensor
    prefix_length: int
    key: str
    replaced: tuple[Replacement, ...]
    parallel: bool | None = None
    patch_order: Tensor | None = None


class CountedText(NamedTuple):
    """The text slots of a batch that carry a loss: `slots` (N,) among all B * T, row by row, and their `tokens` (N,).

    Where `counted` (N,) is False, a slot only fills up.
    """

    slots: Tensor
    tokens: Tensor
    counted: Tensor


@dataclass(frozen=True)
class Batch:
    """Pictures (B, 3, height, width), tokens (B, T) int64, counted (B, T) bool, prefix lengths (B,) int64.

    Pictures are uint8, a quarter of the bytes to send, where a `scale` says how to normalise them, as a loader makes
    them; without it they are normalised floats. T is 0 where the recipe reads no text. `counted` stays on the CPU
    wherever the rest is: it decides shapes, for which no accelerator should be waited. `keys` are those of the pairs
    used; `replaced` names every pair that stood at these positions and was damaged. `parallel` (B,) bool is there where
    some captions are predicted all at once, `patch_order` (B, I) int64 for masked image modelling, as in `Sample`.
    Raises ValueError for uint8 without a scale and for floats with one.
    """

    pictures: Tensor
    tokens: Tensor
    counted: Tensor
    prefix_lengths: Tensor
    keys: tuple[str, ...]
    replaced: tuple[Replacement, ...] = ()
    scale: PixelScale | None = None
    parallel: Tensor | None = None
    patch_order: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.pictures.dtype == torch.uint8) != (self.scale is not None):
            raise ValueError(
                f"a batch of {self.pictures.dtype} pictures with scale = {self.scale}: 8-bit pictures need the scale "
                "to normalise them by, normalised ones scale = None"
            )

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def images(self) -> Tensor:
        """What the encoder takes: the pictures normalised, float32, on their device. Computed anew at every access."""
        return self.pictures if self.scale is None else normalise(self.pictures, self.scale)

    @property
    def counted_tokens(self) -> int:
        """The text targets that count, which normalise the text loss."""
        return int(self.counted.sum())

    @property
    def text_lengths(self) -> Tensor:
        """Tokens of every caption (B,), up to the last one that counts."""
        return (self.counted.flip(1).cumsum(dim=1) > 0).sum(dim=1)

    def counted_patches(self, patches: int) -> int:
        """The pixel targets that count, I - M summed over the images, which normalise the pixel loss (paper, 2.2)."""
        return int((patches - self.prefix_lengths).sum())

    def counted_text(self) -> CountedText:
        """Which text predictions the loss needs, found without waiting for an accelerator."""
        slots, device = self.counted.flatten().nonzero()[:, 0], self.tokens.device
        count = len(slots)
        filled = _sent(pad(slots, (0, -count % slot_multiple(device))), device)
        return CountedText(filled, self.tokens.flatten()[filled], torch.arange(len(filled), device=device) < count)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`, but for `counted`."""
        place = torch.device(device)
        return self._each(lambda tensor: _sent(tensor, place))

    def pin_memory(self) -> Batch:
        """The same batch in memory that a GPU fetches from by itself; torch's DataLoader calls it, by this name."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """What is done to every tensor but `counted`, which never leaves the CPU."""
        pictures, tokens, prefix_lengths = map(change, (self.pictures, self.tokens, self.prefix_lengths))
        parallel, order = (found if found is None else change(found) for found in (self.parallel, self.patch_order))
        return replace(
            self,
            pictures=pictures,
            tokens=tokens,
            prefix_lengths=prefix_lengths,
            parallel=parallel,
            patch_order=order,
        )

    def tensors(self) -> list[Tensor]:
        """Every tensor that is there."""
        found = (self.pictures, self.tokens, self.counted, self.prefix_lengths, self.parallel, self.patch_order)
        return [tensor for tensor in found if tensor is not None]

    def split(self, micro_batch_size: int) -> Iterator[Batch]:
        """Micro-batches of pairs with captions of like length, the longest first, each cut to its longest caption.

        So that little padding is computed with; where captions are predicted all at once, padding stays, because it
        hides their lengths. The last is perhaps smaller; the first carries `replaced`, so that it
        counts once. Made one at a time, because each is a copy; a single one is the batch itself.
        """
        if micro_batch_size < 1:
            raise ValueError(f"micro-batch size {micro_batch_size}: at least 1 is needed")
        if micro_batch_size >= len(self):
            return iter([self])
        first, *others = self.text_lengths.argsort(descending=True, stable=True).split(micro_batch_size)
        return chain([replace(self.rows(first), replaced=self.replaced)], map(self.rows, others))

    def rows(self, rows: Tensor) -> Batch:
        """The pairs of some rows (N,), in that order, their captions cut to the longest; `replaced` is left out."""
        longest = max(self.text_lengths[rows].tolist(), default=0)
        length = -(-longest // CAPTION_MULTIPLE) * CAPTION_MULTIPLE if self.parallel is None else self.tokens.shape[1]
        there = _sent(rows, self.pictures.device)
        chosen = self._each(lambda tensor: tensor.index_select(0, there))
        return replace(
            chosen,
            tokens=chosen.tokens[:, :length],
            counted=self.counted[rows, :length],
            keys=tuple(self.keys[row] for row in rows.tolist()),
            replaced=(),
        )


def batch_of(samples: Sequence[Sample], filling: int, text_tokens: int, scale: PixelScale) -> Batch:
    """Samples put together, captions padded with the token `filling` to the longest of them.

    Where some are predicted all at once they are padded to `text_tokens`: no number of slots tells their length.
    """
    tokens = pad_sequence([sample.tokens for sample in samples], batch_first=True, padding_value=filling)
    counted = pad_sequence([sample.counted for sample in samples], batch_first=True)
    parallel = [sample.parallel for sample in samples if sample.parallel is not None]
    if parallel:
        more = (0, text_tokens - tokens.shape[1])
        tokens, counted = pad(tokens, more, value=filling), pad(counted, more)
    orders = [sample.patch_order for sample in samples if sample.patch_order is not None]
    return Batch(
        pictures=torch.stack([sample.picture for sample in samples]),
        tokens=tokens,
        counted=counted,
        prefix_lengths=torch.tensor([sample.prefix_length for sample in samples], dtype=torch.int64),
        keys=tuple(sample.key for sample in samples),
        replaced=tuple(found for sample in samples for found in sample.replaced),
        scale=scale,
        parallel=torch.tensor(parallel) if parallel else None,
        patch_order=torch.stack(orders) if orders else None,
    )


def slot_multiple(device: torch.device) -> int:
    """The text slots that count are filled up to a multiple of this: few shapes suit a GPU; our choice."""
    return 1 if device.type == "cpu" else 64


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device, without waiting: a GPU fetches it by itself from pinned memory, where it is put first."""
    leaves = tensor.device.type == "cpu" and device.type == "cuda"
    return (tensor.pin_memory() if leaves else tensor).to(device, non_blocking=True)
