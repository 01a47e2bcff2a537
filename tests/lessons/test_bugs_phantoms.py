"""The phantoms have the floors that are claimed, and the stored runs are those that the code makes."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch

from aimv2_lab.data.batches import batches
from aimv2_lab.lessons.bugs.faults import FAULTS
from aimv2_lab.lessons.bugs.measure import jitter, measure
from aimv2_lab.lessons.bugs.phantoms import (
    BODIES,
    CLINIC,
    END,
    HEALTHY,
    PIXEL_FLOOR_NOISE,
    STORED,
    TEXT_FLOOR_SEEN,
    TEXT_FLOOR_UNSEEN,
    Body,
    LetterTokenizer,
    Phantom,
    phantom_dataset,
    train_on,
)
from aimv2_lab.lessons.bugs.stored_curves import stored_run
from aimv2_lab.model.objective import pixel_targets
from aimv2_lab.recipes import Recipe
from aimv2_lab.report.stored import load_result

SIZE = CLINIC.encoder.patch_size


def test_a_blank_guess_at_noise_costs_the_floor_and_its_average_is_the_best_guess() -> None:
    batch = next(iter(batches(phantom_dataset("noise"), 1024, 0, 1, workers=0)))
    targets = pixel_targets(batch.images, SIZE)
    assert targets.square().mean().item() == pytest.approx(PIXEL_FLOOR_NOISE, abs=1e-4)
    assert targets.mean(dim=(0, 1)).abs().max() < 0.03  # no value of a patch is known beforehand


@pytest.mark.parametrize("body", BODIES)
def test_captions_have_the_entropy_that_the_text_floors_say(body: Body) -> None:
    captions = [Phantom(body)[index].captions[0] for index in range(4096)]
    lengths = Counter(len(caption) for caption in captions)
    letters = Counter("".join(captions))

    def entropy(counts: Counter[int] | Counter[str]) -> float:
        shares = np.array(list(counts.values())) / counts.total()
        return float(-(shares * np.log(shares)).sum())

    per_caption = 1 + sum(map(len, captions)) / len(captions)
    assert set(lengths) == {1, 2, 3, 4} and len(letters) == 6
    assert entropy(lengths) / per_caption == pytest.approx(TEXT_FLOOR_SEEN, abs=0.01)
    unseen = (entropy(lengths) + (per_caption - 1) * entropy(letters)) / per_caption
    assert unseen == pytest.approx(TEXT_FLOOR_UNSEEN, abs=0.01)
    assert pytest.approx(math.log(4) / 3.5) == TEXT_FLOOR_SEEN


def test_the_letters_of_pictures_stand_in_every_row_and_those_of_noise_nowhere() -> None:
    looks: dict[str, list[np.ndarray]] = {}
    for index in range(60):
        pair = Phantom("pictures")[index]
        pixels = np.asarray(pair.image).astype(int)
        for column, letter in enumerate(pair.captions[0]):
            place = slice(column * SIZE, (column + 1) * SIZE)
            looks.setdefault(letter, []).extend(pixels[row : row + SIZE, place] for row in range(0, 8, SIZE))
    assert all(np.abs(np.array(seen) - seen[0]).max() <= 24 for seen in looks.values())  # the grain, twice
    assert np.asarray(Phantom("noise")[0].image).std() > 60


def test_captions_end_and_are_padded() -> None:
    tokens, counted = LetterTokenizer().encode(["ab", "f"], 6)
    assert tokens.tolist() == [[2, 3, END], [7, END, 0]]
    assert counted.tolist() == [[True, True, True], [True, True, False]]


def test_a_phantom_is_the_same_every_time() -> None:
    first, second = (Phantom("pictures")[5] for _ in range(2))
    assert first.captions == second.captions
    assert np.array_equal(np.asarray(first.image), np.asarray(second.image))


def test_jitter_is_the_size_of_the_jumps() -> None:
    assert jitter([9.0, 9.0, 1.0, 3.0, 1.0, 3.0]) == pytest.approx(2.0)
    assert jitter([1.0] * 8) == 0


def test_the_stored_runs_are_of_this_recipe_and_hold_every_fault() -> None:
    result = load_result(STORED)
    assert Recipe.from_json(json.dumps(result.recipe)) == CLINIC, "python -m aimv2_lab.lessons.bugs.measure"
    stored = {(run["fault"], run["body"]) for run in result.values}
    assert stored == {(name, body) for name in [HEALTHY, *FAULTS] for body in BODIES}


@pytest.mark.parametrize("name", [HEALTHY, "pad tokens in the loss"])
def test_the_stored_curve_begins_as_a_run_does_now(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first five steps, which are the first stored window."""
    monkeypatch.setattr("aimv2_lab.lessons.bugs.measure.train_on", lambda body, seed: train_on(body, 5, seed))
    now, stored = measure(name, "pictures", 0), stored_run(name, "pictures")
    assert now["first"] == pytest.approx(stored["first"], abs=2e-3)
    for loss in ("pixel", "text"):
        assert now["curves"][loss][0] == pytest.approx(stored["curves"][loss][0], abs=5e-3)


def test_training_disturbs_no_other_draws() -> None:
    state = torch.random.get_rng_state()
    train_on("noise", steps=1)
    assert torch.equal(torch.random.get_rng_state(), state)
