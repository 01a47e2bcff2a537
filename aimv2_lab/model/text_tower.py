"""The text tower: causal blocks over a text, read at its end token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aimv2_lab.model.layers import Block, initialise_block
from aimv2_lab.recipes import TextTowerRecipe


class TextTower(nn.Module):
    """Token table and learned positions, causal blocks, a norm; one vector a text, that of its end token.

    Being causal, the end token is the only one that has read the whole text, and whatever stands behind it, such as
    padding, changes nothing. Source: the released LiT model; its initialisation is not known, ours is CLIP's for the
    tables and the encoder's for the blocks.
    """

    def __init__(self, recipe: TextTowerRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.token_table = nn.Embedding(recipe.vocabulary, recipe.width)
        self.positions = nn.Parameter(torch.empty(recipe.text_tokens, recipe.width))
        self.blocks = nn.ModuleList(
            Block(recipe.width, recipe.heads, recipe.hidden, recipe.norm_eps) for _ in range(recipe.depth)
        )
        self.norm = nn.RMSNorm(recipe.width, eps=recipe.norm_eps)
        nn.init.normal_(self.token_table.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        for block in self.blocks:
            assert isinstance(block, Block)
            initialise_block(block)

    def forward(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """The vectors (B, D) at the end tokens, whose places are `ends` (B,), of texts (B, T).

        Raises ValueError for texts longer than the recipe's text tokens.
        """
        states = self.states(tokens)
        return states[torch.arange(len(tokens), device=tokens.device), ends]

    def states(self, tokens: Tensor) -> Tensor:
        """The normed vectors (B, T, D) of every token, each of which has read those before it."""
        length = tokens.shape[1]
        if length > self.recipe.text_tokens:
            raise ValueError(f"{length} text tokens exceed the tower's {self.recipe.text_tokens}; cut the texts")
        x = self.token_table(tokens) + self.positions[:length]
        for block in self.blocks:
            x = block(x, causal=True)
        return self.norm(x)
