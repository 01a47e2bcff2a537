"""Which rows of a data set are pairs of the source: those within the recipe's limits on the numbers kept of them."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np

from aimv2_lab.data.layouts import Rows
from aimv2_lab.data.row_filters import passing, thresholds
from aimv2_lab.data.tars.rows import IndexedRows
from aimv2_lab.recipes import DataRecipe


def rows_within(rows: Rows, data_recipe: DataRecipe, place: str) -> np.ndarray:
    """Whether the numbers of every row are within `data.at_least` and `data.at_most`, (N,) bool.

    A row without a number is not. Warns of how many are left out, by limit; `place` names the data. Raises ValueError
    for a limit that is no COLUMN=NUMBER and for a layout without an index, MissingColumn for a column that the index
    does not keep.
    """
    if not (filters := thresholds(data_recipe.at_least, data_recipe.at_most)):
        return np.ones(len(rows), dtype=bool)
    if not isinstance(rows, IndexedRows):
        raise no_index(data_recipe, place)
    counts = Counter[str]()
    numbers = rows.numbers(list(dict.fromkeys(name for each in filters for name in each.columns)))
    kept = passing(numbers, filters, counts)
    if counts.total():
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in counts.items())
        warnings.warn(f"{place}: {counts.total():,} of {len(kept):,} pairs are left out ({reasons})", stacklevel=2)
    return kept


def no_index(data_recipe: DataRecipe, place: str) -> ValueError:
    """The error for limits on data `place` of which no numbers are kept."""
    return ValueError(
        f"data.at_least = {data_recipe.at_least}, data.at_most = {data_recipe.at_most}: they choose by the columns "
        f"that an index of WebDataset shards keeps, and {place} is no such data. Leave them out, or write shards"
    )
