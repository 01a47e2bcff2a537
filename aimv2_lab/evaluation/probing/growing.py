"""An array on disk that rows are appended to, whose number nobody knows before."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np


class GrowingArray:
    """A .npy file, readable once this is left: numpy keeps room in the header of a file for any number of rows.

    All rows have the shape of the first; raises ValueError for others and for another type. Without rows the file is
    empty, and no .npy file.
    """

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self.path, self.dtype, self.length = path, dtype, 0
        self.row: tuple[int, ...] = ()

    def __enter__(self) -> GrowingArray:
        self.file = self.path.open("wb")
        return self

    def append(self, rows: np.ndarray) -> None:
        """Write some rows behind the others."""
        if not self.length:
            self.row = rows.shape[1:]
            self._write_header()
        if rows.shape[1:] != self.row or rows.dtype != self.dtype:
            raise ValueError(f"{self.path}: {rows.dtype} {rows.shape[1:]} behind rows of {self.dtype} {self.row}")
        self.file.write(np.ascontiguousarray(rows).data)
        self.length += len(rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.length:
            self._write_header()
        self.file.close()

    def _write_header(self) -> None:
        shape = (self.length, *self.row)
        about = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        self.file.seek(0)
        np.lib.format.write_array_header_1_0(self.file, about)
