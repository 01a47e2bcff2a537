"""A student and a teacher small enough for exact tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aimv2_lab.recipes import DistillationRecipe
from aimv2_lab.recipes.continuations import distillation_recipe
from tests.training.toy import SMALL


def distilling(teacher: str = "teacher", **changes: Any) -> DistillationRecipe:
    """A student half as wide as the small encoder, its teacher; dots are written as two lines."""
    student = replace(SMALL.encoder, width=16, heads=2, hidden=24, depth=1)
    known = distillation_recipe("teacher", SMALL, replace(SMALL, encoder=student))
    return known.change(
        {
            "teacher": teacher,
            "decoder.vocabulary": 256,
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
    )
