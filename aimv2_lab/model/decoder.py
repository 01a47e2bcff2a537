"""The multimodal decoder: one causal sequence of image features and caption, two linear heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from aimv2_lab.model.layers import Block, KeyValueCache, initialise_block
from aimv2_lab.model.strips import Rows
from aimv2_lab.recipes import DecoderRecipe


class Predictions(NamedTuple):
    """What the decoder says: `pixels` (B, I, K), output i for patch i+1; `logits` (B, T, V), output t for token t.

    Where only some text slots were asked for, the logits are theirs: (N, V).
    """

    pixels: Tensor
    logits: Tensor


class MultimodalDecoder(nn.Module):
    """A causal transformer over projected image features, a learned start vector and the caption.

    Image slots carry no positions beyond the encoder's; text slots have learned ones. The start vector takes the place
    of a begin token, which SigLIP's vocabulary lacks. Source: paper, section 2.2 (one sequence, image first, causal,
    two heads); start vector, positions and initialisation from the released training code.
    """

    def __init__(self, recipe: DecoderRecipe, feature_width: int, patch_values: int) -> None:
        super().__init__()
        self.recipe = recipe
        width = recipe.width
        self.projection = nn.Linear(feature_width, width)
        self.start = nn.Parameter(torch.empty(width))
        self.token_table = nn.Embedding(recipe.vocabulary, width)
        # One slot per predicted token. The released training code holds one more, after the last token, which predicts
        # nothing.
        self.text_positions = nn.Parameter(torch.empty(recipe.text_tokens, width))
        self.blocks = nn.ModuleList(
            Block(width, recipe.heads, recipe.hidden, recipe.norm_eps) for _ in range(recipe.depth)
        )
        self.norm = nn.RMSNorm(width, eps=recipe.norm_eps)
        self.pixel_head = nn.Linear(width, patch_values, bias=False)
        self.text_head = nn.Linear(width, recipe.vocabulary, bias=False)
        self._initialise()

    def forward(
        self, features: Tensor, tokens: Tensor, text_slots: Tensor | None = None, *, rows: Rows | None = None
    ) -> Predictions:
        """Predict the next patch from every image slot and the next token from every text slot.

        Features (B, I, feature width), tokens (B, T) with T = 0 allowed. Text slot t has seen the image, the start
        vector and tokens before t. `text_slots` (N,) names those of the B * T text slots, row by row, that the text
        head is wanted for: it is dear, and padding needs none. `rows` leave out padding, of images too, as in `run`.
        Raises ValueError for captions longer than the recipe's text tokens.
        """
        patches = features.shape[1]
        hidden = self.run(torch.cat([self.projection(features), self.embed_text(tokens)], dim=1), rows=rows)
        text = hidden[:, patches:]
        if text_slots is not None:
            text = text.flatten(0, 1).index_select(0, text_slots)
        return Predictions(self.pixel_head(hidden[:, :patches]), self.text_head(text))

    def embed_text(self, tokens: Tensor) -> Tensor:
        """The text slots (B, T, D): start vector, then every token but the last, each with its position."""
        batch, length = tokens.shape
        if length > self.recipe.text_tokens:
            raise ValueError(f"{length} text tokens exceed the decoder's {self.recipe.text_tokens}; cut the captions")
        start = self.start.expand(batch, 1, -1)
        return torch.cat([start, self.token_table(tokens[:, :-1])], dim=1)[:, :length] + self.text_positions[:length]

    def run(self, slots: Tensor, caches: list[KeyValueCache] | None = None, *, rows: Rows | None = None) -> Tensor:
        """Pass slots (B, T, D) through the causal blocks and the final norm.

        With caches, the first call takes the whole sequence so far and every later call exactly one new slot. With
        rows, the blocks run over the slots in these alone, each seeing its own sequence.
        """
        if rows is not None:
            return self._run_rows(slots, rows)
        continues = caches is not None and caches[0].keys is not None
        if continues and slots.shape[1] != 1:
            raise ValueError(
                f"{slots.shape[1]} new slots after the first call: give exactly one, or it would look ahead"
            )
        for index, block in enumerate(self.blocks):
            slots = block(slots, causal=not continues, cache=caches[index] if caches else None)
        return self.norm(slots)

    def _run_rows(self, slots: Tensor, rows: Rows) -> Tensor:
        packed, mask = rows.pack(slots), None if rows.single else rows.mask()
        for block in self.blocks:
            packed = block(packed, mask, causal=mask is None)
        return rows.unpack(self.norm(packed), len(slots))

    def _initialise(self) -> None:
        """Xavier uniform linears; token table and start vector normal 0.02, text positions 0.01; both heads truncated
        normal of variance 1 / (13 width)."""
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)
        nn.init.normal_(self.start, std=0.02)
        nn.init.normal_(self.token_table.weight, std=0.02)
        nn.init.normal_(self.text_positions, std=0.01)
        for block in self.blocks:
            assert isinstance(block, Block)
            initialise_block(block)
        for head in (self.pixel_head, self.text_head):
            nn.init.trunc_normal_(head.weight, std=(13 * self.recipe.width) ** -0.5)
