"""Which grid of whole patches a picture of any size becomes: for training in a given area, for inference near its own
size. One rule for pixels, tensors and files."""

from __future__ import annotations

import math
from typing import NamedTuple

from aimv2_lab.fields import check_range

MOST_PATCHES = 4096  # what the released native encoder was trained up to (paper, section 2.4)


class Grid(NamedTuple):
    """Patches of a picture: `rows` of them one below the other, `columns` side by side."""

    rows: int
    columns: int


def fitted_grid(width: int, height: int, area: int) -> Grid:
    """The patches that a picture is resized to so that there are at most `area` of them.

    Of the grids next to the exact one, that whose sides are most nearly in the picture's ratio, and of such the larger;
    a picture longer than `area` patches in one row is squeezed into one row of them. Raises ValueError for a side or an
    area below 1. Source: paper, section 2.4, fits pictures into an area and keeps their aspect ratio; the rounding is
    our choice.
    """
    for name, value in (("width", width), ("height", height), ("area", area)):
        check_range(name, value, 1)
    ratio = width / height
    exact = math.sqrt(area / ratio), math.sqrt(area * ratio)
    near = [{min(max(int(side) + more, 1), area) for more in (0, 1)} for side in exact]
    grids = [Grid(rows, columns) for rows in near[0] for columns in near[1] if rows * columns <= area]
    return min(grids, key=lambda grid: (round(_distortion(grid, ratio), 9), -grid.rows * grid.columns, grid))


def whole_grid(width: int, height: int, patch_size: int, most: int | None = None) -> Grid:
    """The patches that a picture in pixels is resized to for inference.

    Each side goes to the nearest multiple of the patch size, at least one, and what is half way up; a picture that then
    has more than `most` patches is fitted into them. Nothing is cut off. Raises ValueError as `fitted_grid` does.
    Source: our choice.
    """
    for name, value in (("width", width), ("height", height), ("patch_size", patch_size)):
        check_range(name, value, 1)
    rows, columns = (max((2 * side + patch_size) // (2 * patch_size), 1) for side in (height, width))
    return Grid(rows, columns) if most is None or rows * columns <= most else fitted_grid(width, height, most)


def _distortion(grid: Grid, ratio: float) -> float:
    """How far columns / rows is from a ratio, the same for too long and too high."""
    return abs(math.log(grid.columns / grid.rows / ratio))
