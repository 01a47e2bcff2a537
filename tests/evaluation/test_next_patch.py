"""Next-patch errors by output, and what opening the attention among visible patches does to them."""

from __future__ import annotations

import torch
from torch import Tensor

from aimv2_lab.evaluation.next_patch import error_by_attention, errors_by_position
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.model.patches import patchify, standardise
from aimv2_lab.recipes import recipe
from tests.model.tiny import generator, wide

SIZES = {"encoder.image_size": 8, "encoder.patch_size": 2, "encoder.width": 32, "encoder.depth": 2, "head.depth": 1}


def model_and_pictures(target: str = "standardised") -> tuple[AIMv1, Tensor]:
    model = wide(AIMv1(recipe("aim-tiny", {**SIZES, "objective.target": target})))
    return model, torch.randn(5, 3, 8, 8, generator=generator(), dtype=torch.float64)


def test_errors_are_those_of_every_output_with_its_next_patch() -> None:
    model, pictures = model_and_pictures()
    targets = standardise(patchify(pictures, 2)).values
    causal = model(pictures, torch.empty(5, 0, dtype=torch.long), torch.ones(5, dtype=torch.long)).pixels
    errors = errors_by_position(model, pictures)
    assert errors.shape == (15,)
    for output in (0, 6, 14):
        expected = (causal[:, output] - targets[:, output + 1]).square().mean()
        torch.testing.assert_close(errors[output], expected, rtol=1e-4, atol=1e-6, check_dtype=False)


def test_errors_are_held_against_the_recipes_target() -> None:
    (model, pictures), (raw, _) = model_and_pictures(), model_and_pictures("raw")
    assert not torch.allclose(errors_by_position(model, pictures), errors_by_position(raw, pictures))


def test_opened_attention_is_a_prefix_that_ends_with_the_output() -> None:
    """Output 0 sees one patch both ways; output 6 sees patches 0 … 6 open, which a longer prefix would exceed."""
    model, pictures = model_and_pictures()
    causal, opened = error_by_attention(model, pictures)
    assert torch.equal(causal, errors_by_position(model, pictures))
    assert causal[0] == opened[0]
    assert opened[6] == errors_by_position(model, pictures, prefix_length=7)[6]
    assert not torch.allclose(causal[1:], opened[1:])
