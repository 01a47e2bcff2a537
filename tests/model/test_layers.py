"""Attention's paths agree with the plain formula and with each other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.model.layers import KeyValueCache, attend
from aimv2_lab.model.masks import causal_mask, prefix_mask
from tests.model.tiny import generator


def heads(tokens: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (2, 3, T, 5)."""
    queries, keys, values = 2 * torch.randn(3, 2, 3, tokens, 5, generator=generator(), dtype=torch.float64)
    return queries, keys, values


def slow(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    scores = queries @ keys.mT / 5**0.5
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1) @ values


@pytest.mark.parametrize(
    "mask",
    [None, causal_mask(6), prefix_mask(torch.tensor([2, 5]), 6)],
    ids=["all", "causal", "prefix"],
)
def test_attention_is_a_softmax_over_what_the_mask_allows(mask: Tensor | None) -> None:
    expected = slow(*heads(), torch.ones(6, 6, dtype=torch.bool) if mask is None else mask)
    assert torch.allclose(attend(*heads(), mask), expected, rtol=0, atol=1e-12)


def test_the_causal_path_equals_the_causal_mask() -> None:
    assert torch.allclose(attend(*heads(), causal=True), attend(*heads(), causal_mask(6)), rtol=0, atol=1e-12)


def test_a_cache_returns_everything_so_far_in_order() -> None:
    _, keys, values = heads()
    cache = KeyValueCache()
    for start, stop in ((0, 3), (3, 4), (4, 6)):
        got = cache.extend(keys[:, :, start:stop], values[:, :, start:stop])
        assert torch.equal(got[0], keys[:, :, :stop])
        assert torch.equal(got[1], values[:, :, :stop])
