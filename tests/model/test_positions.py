"""The fixed 2-D sine-cosine code."""

from __future__ import annotations

import math

import pytest
import torch

from aimv2_lab.model.positions import sincos_positions


def slow_code(row: int, column: int, width: int) -> list[float]:
    """The vector of one patch, number by number."""
    quarter = width // 4
    rates = [10_000 ** (-index / quarter) for index in range(quarter)]
    waves = [(math.sin, column), (math.cos, column), (math.sin, row), (math.cos, row)]
    return [wave(coordinate * rate) for wave, coordinate in waves for rate in rates]


@pytest.mark.parametrize(("rows", "columns", "width"), [(3, 5, 16), (1, 1, 4), (64, 64, 128), (2, 300, 8)])
def test_every_patch_has_the_code_of_its_row_and_column(rows: int, columns: int, width: int) -> None:
    slow = torch.tensor([slow_code(row, column, width) for row in range(rows) for column in range(columns)])
    code = sincos_positions(rows, columns, width)
    assert code.dtype == torch.float32
    assert torch.allclose(code, slow, rtol=0, atol=1e-6)


def test_x_comes_first() -> None:
    code = sincos_positions(2, 3, 8).reshape(2, 3, 2, 4)  # row, column, axis, number
    assert torch.equal(code[0, :, 0], code[1, :, 0])  # the first half does not know the row
    assert torch.equal(code[:, 0, 1], code[:, 2, 1])  # the second half does not know the column
    swapped = torch.cat([code[:, :, 1], code[:, :, 0]], dim=-1)
    assert 1 < (code.reshape(swapped.shape) - swapped).abs().max() <= 2  # so swapped axes cannot pass unseen


def test_a_larger_grid_continues_a_smaller_one() -> None:
    small, large = sincos_positions(2, 3, 16), sincos_positions(7, 5, 16).reshape(7, 5, 16)
    assert torch.equal(small.reshape(2, 3, 16), large[:2, :3])


def test_a_width_that_four_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="divisible by 4, not 18"):
        sincos_positions(2, 2, 18)
