"""Two towers small enough for exact tests."""

from __future__ import annotations

from typing import Any

from aimv2_lab.recipes import ContrastiveRecipe, TextTowerRecipe
from tests.training.toy import SMALL


def paired(**changes: Any) -> ContrastiveRecipe:
    """Towers over the small encoder, both trained unless the changes say otherwise; dots are written as two lines."""
    known = ContrastiveRecipe(
        "paired",
        SMALL.encoder,
        TextTowerRecipe(width=32, depth=1, heads=2, hidden=48, vocabulary=256, text_tokens=40),
        image_tower="trained",
        shared_width=16,
        data=SMALL.data,
        training=SMALL.training,
        engine=SMALL.engine,
    )
    return known.change({name.replace("__", "."): value for name, value in changes.items()})
