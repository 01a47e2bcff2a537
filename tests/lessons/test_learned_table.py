"""The table that notebook 12 draws: trained, rounded, stored with its recipe and read again."""

from __future__ import annotations

from pathlib import Path

from aimv2_lab.lessons.learned_table import RECIPE, STORED, stored_table, train_table
from aimv2_lab.report.stored import load_result


def test_a_table_is_trained_and_stored_with_its_recipe(tmp_path: Path) -> None:
    changes = {"training.steps": 2, "training.warmup_steps": 1, "training.validate_every": 2, "encoder.image_size": 16}
    small = RECIPE.change(changes | {"training.validation_batches": 1, "data.source": "world:oblong:64"})
    file = train_table(small, tmp_path)
    assert file == tmp_path / f"{STORED}.json"
    assert stored_table(tmp_path).shape == (4, RECIPE.encoder.width)
    assert load_result(STORED, tmp_path).recipe["training"]["steps"] == 2


def test_the_stored_table_knows_what_is_near_what() -> None:
    """Trained positions are more like their neighbours than like the rest; drawn ones are not."""
    grid = stored_table().view(8, 8, -1)
    unit = grid / grid.norm(dim=-1, keepdim=True)
    beside = (unit[:, 1:] * unit[:, :-1]).sum(dim=-1).mean().item()
    far = (unit[:, 4:] * unit[:, :4]).sum(dim=-1).mean().item()
    assert beside > 0.3 and beside > far + 0.15
