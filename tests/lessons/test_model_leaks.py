"""The meter of the whole objective finds nothing in the right model, and every planted leak."""

from __future__ import annotations

import copy

import pytest
import torch

from aimv2_lab.lessons.leak import Leak, assert_no_leak
from aimv2_lab.lessons.mask_mistakes import (
    MaskRule,
    bidirectional,
    causal,
    from_the_end,
    off_by_one,
    transposed,
    with_mask,
)
from aimv2_lab.lessons.model_leaks import allowed_in_model, model_leaks
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.objective import counted_outputs
from tests.model.tiny import CAPTIONS, PATCHES, TOKENS, every_prefix_length, images, wide_model

LENGTHS = every_prefix_length().tolist()
CAPTION = CAPTIONS[0]


def judge(model: AIMv2, length: int) -> None:
    assert_no_leak(model_leaks(model, images(), CAPTION, length), allowed_in_model(length, PATCHES, TOKENS))


@pytest.mark.parametrize("length", LENGTHS)
def test_the_model_sees_all_that_it_may_and_nothing_else(length: int) -> None:
    seen = model_leaks(wide_model(), images(), CAPTION, length) > 0
    assert torch.equal(seen, allowed_in_model(length, PATCHES, TOKENS))


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_allowed_keeps_the_three_statements(length: int) -> None:
    allowed = allowed_in_model(length, PATCHES, TOKENS)
    for output in counted_outputs(torch.tensor([length]), PATCHES)[0].nonzero().flatten().tolist():
        assert allowed[output, :PATCHES].tolist() == [patch <= output for patch in range(PATCHES)]
    assert not allowed[:PATCHES, PATCHES:].any()
    assert allowed[PATCHES:, PATCHES:].tolist() == [
        [token < output for token in range(TOKENS)] for output in range(TOKENS)
    ]


@pytest.mark.parametrize("rule", [transposed, off_by_one, bidirectional, from_the_end])
@pytest.mark.parametrize("length", LENGTHS)
def test_every_planted_leak_is_found(rule: MaskRule, length: int) -> None:
    with pytest.raises(Leak):
        judge(with_mask(wide_model(), rule), length)


def test_the_off_by_one_mask_leaks_one_counted_output_for_every_prefix() -> None:
    model = with_mask(wide_model(), off_by_one)
    for length in LENGTHS:
        matrix = model_leaks(model, images(), CAPTION, length)
        leaks = (matrix > 0) & ~allowed_in_model(length, PATCHES, TOKENS)
        counted = counted_outputs(torch.tensor([length]), PATCHES)[0]
        assert (leaks[: PATCHES - 1].any(dim=1) & counted).nonzero().flatten().tolist() == [length - 1]


def test_a_mask_that_hides_too_much_leaks_nothing() -> None:
    judge(with_mask(wide_model(), causal), 5)


def test_text_that_reaches_the_picture_or_itself_is_found() -> None:
    model = copy.deepcopy(wide_model())
    for block in model.decoder.blocks:  # the decoder looks ahead
        block.register_forward_pre_hook(
            lambda _, arguments, options: (arguments, options | {"causal": False}), with_kwargs=True
        )
    seen = model_leaks(model, images(), CAPTION, PATCHES - 1) > 0
    assert seen[:PATCHES, PATCHES:-1].all() and seen[PATCHES:, PATCHES:-1].all()
    assert not seen[:, -1].any()  # the last token never enters the decoder
    with pytest.raises(Leak):
        judge(model, PATCHES - 1)


def test_a_repeated_token_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[3, 1, 3\] are not all different"):
        model_leaks(wide_model(), images(), torch.tensor([3, 1, 3]), 4)
