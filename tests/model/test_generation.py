"""Captions: the tokens that the decoder itself finds likeliest, and fair draws from the nucleus."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aimv2_lab.model.generation import choose, generate
from tests.model.tiny import VOCABULARY, generator, images, wide_model

NEVER = -1  # an end token that no caption reaches
PROBABILITIES = torch.tensor([0.1, 0.5, 0.15, 0.25])  # in falling order: tokens 1, 3, 2, 0


def captions(top_p: float | None = None, end_id: int = NEVER, **options: bool | int) -> Tensor:
    return generate(wide_model(), images(6), end_id, top_p=top_p, generator=generator(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("top_p", [None, 0.9])
def test_the_cache_changes_no_token(top_p: float | None) -> None:
    cached = captions(top_p)
    assert torch.equal(cached, captions(top_p, use_cache=False))
    assert cached.shape == (6, 7)
    assert len(cached.unique()) >= VOCABULARY // 2, "the captions are too much alike to show a difference"
    assert len(cached.unique(dim=0)) >= 5


def test_every_greedy_token_is_the_likeliest_after_those_before_it() -> None:
    model, pictures = wide_model(), images(6)
    tokens = captions()
    assert torch.equal(model(pictures, tokens).logits.argmax(dim=-1), tokens)


def test_a_caption_repeats_its_end_token_until_the_last_one_has_ended() -> None:
    free = captions().tolist()
    end_id = free[0][2]
    cut = [row[: row.index(end_id) + 1] if end_id in row else row for row in free]
    longest = max(len(row) for row in cut)
    assert captions(end_id=end_id).tolist() == [row + [end_id] * (longest - len(row)) for row in cut]
    assert len({len(row) for row in cut}) > 1, "all captions end together, which shows nothing"
    assert generate(wide_model(), images(1), end_id).tolist() == [cut[0]]
    assert len(cut[0]) < longest


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (3, 3), (None, 7), (50, 7)])
def test_captions_stop_at_the_tokens_asked_for_and_at_the_text_slots(asked: int | None, given: int) -> None:
    assert torch.equal(generate(wide_model(), images(6), NEVER, max_tokens=asked), captions()[:, :given])


@pytest.mark.parametrize(
    ("top_p", "nucleus"),
    [(0.01, [1]), (0.4, [1]), (0.6, [1, 3]), (0.8, [1, 2, 3]), (0.95, [0, 1, 2, 3]), (1.0, [0, 1, 2, 3])],
)
def test_draws_follow_the_probabilities_inside_the_nucleus_and_never_leave_it(top_p: float, nucleus: list[int]) -> None:
    draws = 20_000
    drawn = choose(PROBABILITIES.log().expand(draws, -1), top_p, 1.0, generator())
    kept = torch.zeros(4).index_fill(0, torch.tensor(nucleus), 1.0) * PROBABILITIES
    shares = drawn.bincount(minlength=4) / draws
    assert (shares > 0).tolist() == (kept > 0).tolist()
    assert torch.allclose(shares, kept / kept.sum(), rtol=0, atol=0.015)  # four standard errors


def test_temperature_divides_the_logits() -> None:
    drawn = choose(PROBABILITIES.log().expand(20_000, -1), 1.0, 0.5, generator())
    sharper = PROBABILITIES.square() / PROBABILITIES.square().sum()
    assert torch.allclose(drawn.bincount(minlength=4) / 20_000, sharper, rtol=0, atol=0.015)


def test_the_generator_decides_the_draws() -> None:
    assert torch.equal(captions(0.9), captions(0.9))
    other = generate(wide_model(), images(6), NEVER, top_p=0.9, generator=generator(1))
    assert not torch.equal(captions(0.9), other)


@pytest.mark.parametrize(("top_p", "temperature"), [(0.0, 1.0), (-0.1, 1.0), (1.01, 1.0), (0.9, 0.0), (0.9, -1.0)])
def test_values_that_make_no_nucleus_are_named(top_p: float, temperature: float) -> None:
    with pytest.raises(
        ValueError, match=rf"top_p = {top_p} must lie in \(0, 1\] and temperature = {temperature} above 0"
    ):
        choose(PROBABILITIES.log()[None], top_p, temperature, None)
