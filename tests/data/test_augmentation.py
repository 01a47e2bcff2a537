"""Augmented pictures: drawn by the generator alone, of every operation, and none where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from aimv2_lab.data.augmentation import OPERATIONS, _Draw, augmented_picture
from aimv2_lab.data.order import sample_generator
from aimv2_lab.data.transforms import training_picture
from aimv2_lab.recipes import DataRecipe
from aimv2_lab.recipes.probing import Augmentation
from tests.data.generated import picture

PIXELS = np.asarray(picture(3, 40, 30))
DATA = DataRecipe(crop_scale=(0.08, 1.0))
NAMES = ["autocontrast", "equalize", "invert", "rotate", "posterize", "solarize", "solarize add", "colour", "contrast"]
NAMES += ["brightness", "sharpness", "shear x", "shear y", "translate x", "translate y"]
WHOLE = Image.fromarray(np.random.default_rng(0).integers(20, 200, (24, 24, 3), dtype=np.uint8))


def drawn(magnitude: float, seed: int = 0) -> _Draw:
    return _Draw(magnitude, (1, 2, 3), np.random.default_rng(seed))


def test_the_generator_decides_and_nothing_else() -> None:
    views = [
        augmented_picture(PIXELS, DATA, Augmentation(), 16, sample_generator(0, epoch, 5, "augmentation"))
        for epoch in (0, 0, 1)
    ]
    assert views[0].dtype == torch.uint8 and views[0].shape == (3, 16, 16)
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])


def test_without_operations_and_jitter_it_is_the_training_view() -> None:
    plain = replace(Augmentation(), operations=0, colour_jitter=0.0)
    first, second = (sample_generator(0, 0, 1, "augmentation") for _ in range(2))
    assert torch.equal(augmented_picture(PIXELS, DATA, plain, 16, first), training_picture(PIXELS, DATA, 16, second))


def test_jitter_alone_changes_the_levels_within_its_strength() -> None:
    grey = np.full((20, 20, 3), 100, np.uint8)
    plain = replace(Augmentation(), operations=0)
    levels = [
        augmented_picture(grey, DATA, plain, 16, np.random.default_rng(seed)).unique().tolist() for seed in range(40)
    ]
    found = [level for (level,) in levels]  # grey stays even
    assert min(found) >= 69 and max(found) <= 130 and max(found) - min(found) > 40


@pytest.mark.parametrize("number", range(len(OPERATIONS)), ids=NAMES)
def test_every_operation_changes_a_picture_and_keeps_its_form(number: int) -> None:
    after = OPERATIONS[number](WHOLE, drawn(9.0))
    assert after.mode == "RGB" and after.size == WHOLE.size
    assert (np.asarray(after) != np.asarray(WHOLE)).mean() > 0.1


@pytest.mark.parametrize("number", range(3, len(OPERATIONS)), ids=NAMES[3:])
def test_a_higher_magnitude_changes_more(number: int) -> None:
    def change(magnitude: float) -> float:
        after = np.asarray(OPERATIONS[number](WHOLE, drawn(magnitude)), dtype=float)
        return float(np.abs(after - np.asarray(WHOLE, dtype=float)).mean())

    assert change(1.0) < change(9.0)


def test_known_operations_do_what_their_names_say() -> None:
    invert, posterize, translate = (np.asarray(OPERATIONS[n](WHOLE, drawn(9.0, seed=1))) for n in (2, 4, 13))
    before = np.asarray(WHOLE)
    assert (invert == 255 - before).all()
    assert (posterize == before & 0b10000000).all()  # 4 - int(3.6) bits are kept
    columns = [bool((translate[:, column] == (1, 2, 3)).all()) for column in range(24)]
    assert sum(columns) in (9, 10)  # 0.9 of 0.45 of the width is filled
