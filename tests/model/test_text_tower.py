"""The text tower: causal, read at the end token, whatever stands behind it."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.model.text_tower import TextTower
from aimv2_lab.recipes import TextTowerRecipe

RECIPE = TextTowerRecipe(width=32, depth=2, heads=2, hidden=48, vocabulary=20, text_tokens=9)
END = 1


@pytest.fixture
def tower() -> TextTower:
    torch.manual_seed(0)
    return TextTower(RECIPE)


def test_no_token_has_read_a_later_one(tower: TextTower) -> None:
    tokens = torch.randint(2, 20, (3, 9))
    changed = tokens.clone()
    changed[:, 5] = (tokens[:, 5] - 1) % 18 + 2
    before, after = tower.states(tokens), tower.states(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] - after[:, 5:]).abs().amin(dim=(0, 2)).min() >= 0
    assert not torch.isclose(before[:, 8], after[:, 8]).all(dim=-1).any()


def test_a_text_is_the_same_alone_and_behind_any_padding(tower: TextTower) -> None:
    """The released text tower in transformers is not, unless a mask reaches its layers."""
    text = torch.tensor([[4, 7, 5, END]])
    alone = tower(text, torch.tensor([3]))
    for filler in (END, 0, 13):
        padded = torch.cat([text, torch.full((1, 5), filler)], dim=1)
        torch.testing.assert_close(tower(padded, torch.tensor([3])), alone, rtol=0, atol=1e-6)


def test_the_vector_is_that_of_the_end_token(tower: TextTower) -> None:
    tokens = torch.tensor([[4, 7, END, END], [4, 5, 6, END]])
    ends = torch.tensor([2, 3])
    states = tower.states(tokens)
    assert torch.equal(tower(tokens, ends), torch.stack([states[0, 2], states[1, 3]]))


def test_what_cannot_be_read_is_named(tower: TextTower) -> None:
    with pytest.raises(ValueError, match="10 text tokens exceed the tower's 9"):
        tower.states(torch.zeros(1, 10, dtype=torch.long))


def test_the_released_tower_has_the_released_size() -> None:
    """Source: the parameter counts of the released LiT model."""
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in TextTower(TextTowerRecipe()).parameters()) == 122_958_336
