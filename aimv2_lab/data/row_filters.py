"""Which rows of a metadata table are worth downloading: thresholds, DataComp's basic filter, lists of uids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aimv2_lab.data.uids import listed, parse_uids

# DataComp's basic filter but for its first condition, fastText's guess that the text is English.
# Source: datacomp, baselines/apply_filter.py, load_uids_with_basic_filter_helper.
LEAST_WORDS, LEAST_CHARACTERS, LEAST_SIDE, MOST_ASPECT = 3, 6, 200, 3
_WORD = r"[^\s\x0b\x1c-\x1f\x{85}\pZ]+"  # what str.split() leaves, in RE2's words


@dataclass(frozen=True)
class RowFilter:
    """Keeps the rows for which `keeps` says true; false and null drop one. `columns` are what it reads."""

    name: str
    columns: tuple[str, ...]
    keeps: Callable[[pa.Table], pa.Array | pa.ChunkedArray]


def filtered(table: pa.Table, filters: Sequence[RowFilter], counts: Counter[str]) -> pa.Table:
    """The rows that pass every filter; `counts` counts the dropped ones under the first filter that they fail."""
    for row_filter in filters:
        kept = table.filter(row_filter.keeps(table))
        counts[row_filter.name] += table.num_rows - kept.num_rows
        table = kept
    return table


def passing(table: pa.Table, filters: Sequence[RowFilter], counts: Counter[str]) -> np.ndarray:
    """Whether each row passes every filter, (N,) bool; `counts` counts as in `filtered`."""
    kept = np.ones(table.num_rows, dtype=bool)
    for row_filter in filters:
        passes = np.asarray(pc.fill_null(row_filter.keeps(table), False))
        counts[row_filter.name] += int(np.count_nonzero(kept & ~passes))
        kept &= passes
    return kept


def uid_filter(column: str, sorted_list: np.ndarray) -> RowFilter:
    """Rows whose uid is in a list. Raises ValueError, naming it, for a uid that is none."""

    def keeps(table: pa.Table) -> pa.Array:
        return pa.array(listed(parse_uids(table[column].to_pylist()), sorted_list))

    return RowFilter("not in the uid list", (column,), keeps)


def threshold(expression: str, at_least: bool) -> RowFilter:
    """Rows with a number at least, or at most, that of "COLUMN=NUMBER"; a row without a number is dropped."""
    column, _, number = expression.rpartition("=")
    sign = ">=" if at_least else "<="
    try:
        bound = float(number)
    except ValueError:
        column = ""
    if not column:
        raise ValueError(f"{expression!r} is no threshold: write COLUMN=NUMBER, as in clip_similarity_vitl14=0.28")
    compare = pc.greater_equal if at_least else pc.less_equal
    return RowFilter(f"not {column} {sign} {bound:g}", (column,), lambda table: compare(_numbers(table, column), bound))


def thresholds(at_least: Sequence[str], at_most: Sequence[str]) -> list[RowFilter]:
    """Several of them; raises ValueError as `threshold` does."""
    return [threshold(text, True) for text in at_least] + [threshold(text, False) for text in at_most]


def basic_filters(text: str, width: str, height: str) -> list[RowFilter]:
    """DataComp's basic filter: more than 2 words and 5 characters, sides of 200 pixels and an aspect of 3 at most."""
    return [
        RowFilter(
            f"fewer than {LEAST_WORDS} words",
            (text,),
            lambda table: pc.greater_equal(pc.count_substring_regex(table[text], _WORD), LEAST_WORDS),
        ),
        RowFilter(
            f"fewer than {LEAST_CHARACTERS} characters",
            (text,),
            lambda table: pc.greater_equal(pc.utf8_length(table[text]), LEAST_CHARACTERS),
        ),
        RowFilter(
            f"a side below {LEAST_SIDE} pixels",
            (width, height),
            lambda table: pc.greater_equal(_side(table, width, height, pc.min_element_wise), LEAST_SIDE),
        ),
        RowFilter(
            f"an aspect above {MOST_ASPECT}",
            (width, height),
            lambda table: pc.less_equal(
                _side(table, width, height, pc.max_element_wise),
                pc.multiply(_side(table, width, height, pc.min_element_wise), MOST_ASPECT),
            ),
        ),
    ]


def _side(table: pa.Table, width: str, height: str, choose: Callable[..., pa.ChunkedArray]) -> pa.ChunkedArray:
    return choose(_numbers(table, width), _numbers(table, height), skip_nulls=False)


def _numbers(table: pa.Table, column: str) -> pa.ChunkedArray:
    try:
        return table[column].cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ValueError(f"column {column} holds {table[column].type}, not numbers") from None
