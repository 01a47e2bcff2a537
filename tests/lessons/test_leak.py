"""The leak meter sees exactly what a function depends on, and names the worst leak."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.lessons.leak import Leak, assert_no_leak, leak_matrix, receptive_field
from aimv2_lab.model.masks import prefix_mask
from aimv2_lab.model.patches import patchify


def attend(mask: Tensor) -> torch.Tensor:
    """A softmax attention over embeddings (B, I, D) under a mask (I, I)."""

    def attention(values: Tensor) -> Tensor:
        scores = (values @ values.transpose(1, 2)).masked_fill(~mask, -torch.inf)
        return scores.softmax(dim=-1) @ values

    return attention  # type: ignore[return-value]


@pytest.mark.parametrize("prefix_length", [1, 3, 5])
def test_the_matrix_of_masked_attention_is_its_mask(prefix_length: int) -> None:
    mask = prefix_mask(torch.tensor([prefix_length]), 6)[0, 0]
    inputs = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    matrix = leak_matrix(attend(mask), inputs)  # type: ignore[arg-type]
    assert torch.equal(matrix > 0, mask)
    assert_no_leak(matrix, mask)


def test_the_entries_are_absolute_gradients_summed_over_values_and_batch() -> None:
    weights = torch.tensor([[2.0, 0.0], [-3.0, 1.0]])
    matrix = leak_matrix(lambda x: torch.einsum("o i, b i -> b o", weights, x), torch.randn(5, 2))
    scale = matrix[0, 0] / 2  # one random direction for single values
    assert torch.allclose(matrix, 0 + weights.abs() * scale) and scale > 0


def test_pictures_are_counted_by_patch() -> None:
    def means(images: Tensor) -> Tensor:
        return patchify(images, 2).mean(dim=-1).cumsum(dim=1)

    images = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(leak_matrix(means, images, patch_size=2) > 0, torch.ones(6, 6).tril().bool())
    assert torch.equal(receptive_field(means, images, 2, patch_size=2) > 0, torch.arange(6) <= 2)


def test_a_normalised_output_is_not_mistaken_for_unconnected() -> None:
    """A layer norm's values sum to a constant, so that the gradient of their plain sum is zero."""
    inputs = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
    matrix = leak_matrix(lambda x: torch.nn.functional.layer_norm(x, (8,)), inputs)
    assert matrix.diagonal().min() > 1e-2


def test_the_worst_leak_is_named() -> None:
    matrix = torch.tensor([[1.0, 0.1, 0.0], [1.0, 1.0, 0.7], [1.0, 1.0, 1.0]])
    with pytest.raises(Leak, match=r"2 forbidden pairs .* output 1 sees input 2 with gradient 0.7"):
        assert_no_leak(matrix, torch.ones(3, 3).tril().bool())
    matrix[0, 1] = float("nan")
    with pytest.raises(Leak, match="output 0 sees input 1"):
        assert_no_leak(matrix, torch.ones(3, 3).tril().bool())


def test_constant_outputs_depend_on_nothing() -> None:
    parameter = torch.ones(3, requires_grad=True)
    assert leak_matrix(lambda x: parameter.expand(1, 3), torch.randn(1, 4)).eq(0).all()
    with pytest.raises(ValueError, match="no gradient"):
        leak_matrix(lambda x: x.detach(), torch.randn(1, 4, 2))
    with pytest.raises(ValueError, match="differ in shape"):
        assert_no_leak(torch.ones(2, 2), torch.ones(2, 3).bool())
