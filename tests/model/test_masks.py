"""The prefix mask, the causal mask, and what a prefix length may be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.model.masks import causal_mask, check_prefix_lengths, prefix_mask


def test_query_sees_key_at_or_before_it_or_in_the_prefix() -> None:
    patches = 7
    lengths = torch.tensor([1, 3, 6, 4])
    mask = prefix_mask(lengths, patches)
    assert mask.shape == (4, 1, patches, patches)
    assert mask.dtype == torch.bool
    for image, length in enumerate(lengths.tolist()):
        for query in range(patches):
            for key in range(patches):
                assert mask[image, 0, query, key] == (key <= query or key < length), (length, query, key)


def test_a_prefix_of_one_is_causal() -> None:
    causal = [[True, False, False], [True, True, False], [True, True, True]]
    assert causal_mask(3).tolist() == causal
    assert prefix_mask(torch.tensor([1]), 3)[0, 0].tolist() == causal


@pytest.mark.parametrize("length", [-1, 0, 9, 10])
def test_a_prefix_outside_1_to_one_less_than_the_patches_is_named(length: int) -> None:
    with pytest.raises(
        ValueError, match=rf"prefix length {length} of image 1 lies outside 1 … 8 .*prefix_lengths=None"
    ):
        check_prefix_lengths(torch.tensor([8, length, 1]), 3, 9)


@pytest.mark.parametrize(
    ("lengths", "named"),
    [
        (torch.tensor([1, 2]), r"3 integers, one per image, not torch.int64 of shape \(2,\)"),
        (torch.tensor([[1, 2, 3]]), r"shape \(1, 3\)"),
        (torch.tensor(2), r"shape \(\)"),
        (torch.tensor([1.0, 2.0, 3.0]), "not torch.float32"),
        (torch.tensor([True, True, True]), "not torch.bool"),
    ],
)
def test_prefix_lengths_must_be_one_integer_per_image(lengths: Tensor, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check_prefix_lengths(lengths, 3, 9)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_every_length_in_range_passes(dtype: torch.dtype) -> None:
    check_prefix_lengths(torch.arange(1, 9, dtype=dtype), 8, 9)
