"""The fixed 2-D sine-cosine code, and learned tables at other resolutions."""

from __future__ import annotations

import math

import pytest
import torch

from aimv2_lab.model.positions import resized_positions, sincos_positions


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


def test_a_table_of_the_same_size_is_left_as_it_is() -> None:
    table = torch.randn(16, 8, dtype=torch.bfloat16)
    assert torch.equal(resized_positions(table, 4), table.float())


def test_a_resized_table_keeps_its_rows_and_columns() -> None:
    """A slope along x stays one along x, another along y one along y, and neither leaves its range by much."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 8), torch.linspace(0, 1, 8), indexing="ij")
    table = torch.stack([x.flatten(), y.flatten()], dim=1)
    for size in (4, 12):
        across, down = resized_positions(table, size).reshape(size, size, 2).unbind(dim=2)
        assert torch.allclose(across, across[:1].expand(size, size), atol=1e-5)
        assert torch.allclose(down, across.T, atol=1e-5)
        assert (across[0].diff() > 0).all()
        assert across.min() > -0.1 and across.max() < 1.1


def test_shrinking_a_table_is_antialiased() -> None:
    """A chequered table becomes grey; without antialiasing it would keep single squares."""
    y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    table = ((x + y) % 2).float().reshape(-1, 1)
    assert (resized_positions(table, 5) - 0.5).abs().max() < 0.1


def test_a_table_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="12 patches has no square grid"):
        resized_positions(torch.zeros(12, 4), 4)
