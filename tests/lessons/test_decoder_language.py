"""The language model learns the captions without a picture, and repeats itself exactly."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.lessons import decoder_language
from aimv2_lab.lessons.decoder_language import no_picture, train_language_model
from aimv2_lab.lessons.decoder_variants import unshifted
from aimv2_lab.model.decoder import MultimodalDecoder
from aimv2_lab.recipes import recipe

SMALL = recipe("tiny", {"decoder.width": 32, "decoder.depth": 1, "decoder.heads": 2, "decoder.hidden": 64})


@pytest.fixture(autouse=True)
def few_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_language, "SCENES", 100)


def test_the_same_seed_gives_the_same_run_whatever_was_drawn_before() -> None:
    run = train_language_model(5, plan=SMALL)
    torch.randn(3)  # the global generator moves on
    assert train_language_model(5, plan=SMALL).losses == run.losses
    assert train_language_model(5, seed=1, plan=SMALL).losses != run.losses
    assert len(run.losses) == 5 and not run.decoder.training


def test_training_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    train_language_model(2, plan=SMALL)
    assert torch.equal(before, torch.get_rng_state())


def test_it_learns_the_language_and_one_that_sees_the_answer_falls_far_below() -> None:
    honest, cheating = (
        train_language_model(120, decode, plan=SMALL).losses[-1] for decode in (MultimodalDecoder.forward, unshifted)
    )
    assert 1.0 < honest < 2.5  # from log(256) = 5.5
    assert cheating < 0.6 * honest


def test_no_picture_has_no_slot() -> None:
    decoder = MultimodalDecoder(SMALL.decoder, 48, 12)
    said = decoder(no_picture(decoder, 3), torch.tensor([[1, 2]] * 3))
    assert said.pixels.shape == (3, 0, 12) and said.logits.shape == (3, 2, 256)
