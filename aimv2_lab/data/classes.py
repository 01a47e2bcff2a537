"""Labels as captions of one token: the classes of a data set, and what each is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from aimv2_lab.data.columns import Columns, read_label
from aimv2_lab.data.damage import DamagedPair
from aimv2_lab.data.layouts import TableRows
from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.data.records import Source
from aimv2_lab.data.sources import RowSource
from aimv2_lab.data.world.source import ShapeSource
from aimv2_lab.fields import unknown_name


class UnknownClass(ValueError):
    """A label that is none of the classes."""


@dataclass(frozen=True)
class ClassTokenizer:
    """Reads a label as one token, the number of its class; what batches need of a tokenizer."""

    classes: tuple[str, ...]
    pad_id: int = 0  # never used: all labels are equally long

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
        """Classes (B, 1) int64, all of which count; raises UnknownClass, with the nearest known names."""
        numbers = [self._number(text) for text in texts]
        return torch.tensor(numbers)[:, None], torch.ones(len(numbers), 1, dtype=torch.bool)

    def _number(self, label: str) -> int:
        if label not in self._numbers:
            message = unknown_name("class", label, list(self.classes))
            raise UnknownClass(f"{message} Classes not in the training data are named in the recipe's classes")
        return self._numbers[label]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}


def find_classes(source: MixedSource) -> tuple[str, ...]:
    """The classes of the training data.

    Those that HF's data sets or the generated world declare keep their order; others are sorted, whole numbers by
    value. Tables are asked for a column's values at once; of shards and image folders every label is read. Raises
    ValueError where there are fewer than two.
    """
    found = list(dict.fromkeys(name for part in source.parts for name in _classes_of(part)))
    if len(found) < 2:
        raise ValueError(
            f"{', '.join(source.names)}: {len(found)} classes ({', '.join(found) or 'none'}); classification needs "
            "two. Name the column of labels in data.caption_column"
        )
    return tuple(found)


def _classes_of(source: Source) -> Iterable[str]:
    if isinstance(source, ShapeSource):
        return source.classes
    assert isinstance(source, RowSource)
    rows, (column, *others) = source.rows, source.columns.captions
    if isinstance(rows, TableRows) and not others and column in rows.table.column_names:
        declared = rows.declared_classes.get(column)
        values = rows.table.unique(column)
        return declared or _sorted(_labels(source.columns, range(len(values)), lambda row: {column: values[row]}))
    return _sorted(_labels(source.columns, source.indices, rows.only(source.columns.captions).__getitem__))


def _labels(columns: Columns, rows: Iterable[int], read: Callable[[int], Mapping[str, Any]]) -> Iterator[str]:
    """The labels of rows; damaged ones are passed over here, batches replace and count them."""
    for row in rows:
        with suppress(DamagedPair):
            yield read_label(read(int(row)), columns, str(row))


def _sorted(labels: Iterable[str]) -> list[str]:
    """Each once: by value where all are whole numbers, else by name."""
    found = set(labels)
    return sorted(found, key=int) if all(map(str.isdecimal, found)) else sorted(found)
