"""Plausible wrong answers to the exercises of notebook 02."""

from __future__ import annotations

from typing import Any

from einops import rearrange
from torch import Tensor

from aimv2_lab.model.patches import unpatchify


def rearranged(patches: Tensor, grid: tuple[int, int], patch_size: int, pattern: str) -> Tensor:
    rows, columns = grid
    return rearrange(patches, pattern, rows=rows, columns=columns, p=patch_size, q=patch_size)


def columns_first_inside(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    pattern = "b (rows columns) (q p c) -> b c (rows p) (columns q)"
    return rearranged(patches, grid, patch_size, pattern)


def channels_first_inside(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    pattern = "b (rows columns) (c p q) -> b c (rows p) (columns q)"
    return rearranged(patches, grid, patch_size, pattern)


def columns_of_patches_first(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    pattern = "b (columns rows) (p q c) -> b c (rows p) (columns q)"
    return rearranged(patches, grid, patch_size, pattern)


def reshaped_only(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    return patches.reshape(len(patches), 3, grid[0] * patch_size, grid[1] * patch_size)


def rows_and_columns_exchanged(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    return unpatchify(patches, (grid[1], grid[0]), patch_size)


WRONG: dict[str, dict[str, Any]] = {
    "02a": {
        "columns before rows inside a patch": columns_first_inside,
        "channels first inside a patch": channels_first_inside,
        "columns before rows of patches": columns_of_patches_first,
        "a reshape alone": reshaped_only,
        "rows and columns of the grid exchanged": rows_and_columns_exchanged,
    },
    "02b": {
        "biased variance": 1.0,
        "another patch size": 191 / 192,
        "one channel": 195 / 196,
        "upside down": 588 / 587,
    },
    "02c": {letter: letter for letter in ("A", "B", "D", "E")},
    "02d": {"the small patch": 0.446, "plain pixels": 0.73, "what is left": 0.66},
}
