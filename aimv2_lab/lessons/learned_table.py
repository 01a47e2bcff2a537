"""Train a small model with a learned position table, and store the table alone: the committed model has none.

    python -m aimv2_lab.lessons.learned_table

Takes some minutes on one core. Notebook 12 draws the table before and after it is resized.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from aimv2_lab.evaluation.resolutions.toys import BASE
from aimv2_lab.formats.whole import load_pretrained
from aimv2_lab.recipes import Recipe
from aimv2_lab.report.stored import FOLDER, load_result, save_result
from aimv2_lab.training.loop import pretrain

COMMAND = "python -m aimv2_lab.lessons.learned_table"
STORED = "learned_positions"
# The low toy of the resolutions with pictures of twice the side, so that 8 x 8 positions make a picture of their own.
RECIPE = BASE.change(
    {"name": "toy-learned-positions", "encoder.image_size": 64, "training.steps": 600, "training.validate_every": 600}
)


def stored_table(folder: Path = FOLDER) -> Tensor:
    """The trained table (64, 96), to three decimals, of 8 x 8 patches in raster order."""
    return torch.tensor(load_result(STORED, folder).values)


def train_table(recipe: Recipe = RECIPE, folder: Path = FOLDER) -> Path:
    """Train, store the table in a folder, and return the file."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as runs:
        pretrain(recipe, Path(runs) / "run")
        table = load_pretrained(Path(runs) / "run").encoder.positions
    assert table is not None
    rounded = [[round(value, 3) for value in row] for row in table.tolist()]
    return save_result(STORED, rounded, COMMAND, asdict(recipe), time.process_time() - started, folder)


if __name__ == "__main__":
    train_table()
