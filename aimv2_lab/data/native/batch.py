"""A batch of pictures of many sizes: each is a strip of its patches, padded to the longest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from torch import Tensor

from aimv2_lab.data.batch import Batch, Sample


@dataclass(frozen=True, kw_only=True)
class NativeSample(Sample):
    """One position of a run: `picture` is the strip (3, p, patches * p) of its patches in raster order, which were
    `columns` in a row."""

    columns: int


@dataclass(frozen=True, kw_only=True)
class NativeBatch(Batch):
    """Pictures (B, 3, p, N * p) are strips of N patches in raster order; `patch_counts` (B,) of them are pictures, the
    rest is padding, and `columns` (B,) lay in a row. Both int64, and both stay on the CPU, because they decide shapes.

    `stands_for` is how many pictures of a fixed-size run this rank's part takes the place of: by it, and not by the
    number of its own pictures, it is cut into micro-batches. Else as `Batch`.
    """

    patch_counts: Tensor
    columns: Tensor
    stands_for: int

    def counted_patches(self, patches: int) -> int:
        """The pixel targets that count: I - M summed over the images, each with its own I; `patches` says nothing."""
        return int((self.patch_counts - self.prefix_lengths.cpu()).sum())

    def tensors(self) -> list[Tensor]:
        """Every tensor that is there."""
        return [*super().tensors(), self.patch_counts, self.columns]

    def split(self, micro_batch_size: int) -> Iterator[Batch]:
        """As many micro-batches as a fixed-size run has: pictures of like captions, nearly equally many in each.

        None is empty where the whole batch is `floor(C / A)` pictures and a micro-batch holds one of area A (which
        recipes are checked for), and none has more than one picture beyond its share. Raises ValueError where one would
        be empty, which no engine could count.
        """
        if micro_batch_size < 1:
            raise ValueError(f"micro-batch size {micro_batch_size}: at least 1 is needed")
        parts = max(self.stands_for // micro_batch_size, 1)
        if parts > len(self):
            raise ValueError(
                f"{len(self)} pictures cannot be cut into {parts} micro-batches: raise training.micro_batch_size"
            )
        if parts == 1:
            return iter([self])
        first, *others = self.text_lengths.argsort(descending=True, stable=True).tensor_split(parts)
        return chain([replace(self.rows(first), replaced=self.replaced)], map(self.rows, others))

    def rows(self, rows: Tensor) -> NativeBatch:
        """The pairs of some rows (N,), in that order, captions and strips cut to the longest; `replaced` is left
        out."""
        found, counts = super().rows(rows), self.patch_counts[rows]
        assert isinstance(found, NativeBatch)
        width = max(counts.tolist(), default=0) * found.pictures.shape[2]
        return replace(found, pictures=found.pictures[..., :width], patch_counts=counts, columns=self.columns[rows])
