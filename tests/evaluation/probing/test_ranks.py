"""Two ranks that encode together probe as one process does, and what goes wrong on one of them ends both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.evaluation.probing.two_ranks import BATCHES
from tests.ranks import made_once, run, torchrun

# What the first rank says and what the second one has: RankFailed, of which the first one tells.
ERRORS = {
    "unreadable": r"RankFailed: 1 of 2 ranks failed: rank 1 on .*: OSError: .*Input/output error",
    "unreadable, kept": r"RankFailed: 1 of 2 ranks failed: rank 1 on .*: OSError: .*Input/output error",
    "encoder": r"RankFailed: 1 of 2 ranks failed: rank 1 on .*: ValueError: invalid literal",
    "too loud": r"RankFailed: 1 of 2 ranks failed: rank 0 on .*: ValueError: features reach .* --feature-type float32",
    "damage": r"TooMuchDamage: \d or more of 200 pictures of list cannot be used",
    "damage, kept": r"TooMuchDamage: 3 or more of 200 pictures of list cannot be used",
    "whole batch": r"ValueError: list: a whole batch cannot be used: pair-\d",
    "nothing, kept": r"ValueError: list: not one of 4 pictures can be used: pair-0",
    "not shared": r"RankFailed: 1 of 2 ranks failed: rank 1 on .*: ValueError: .*not seen here",
}


def make(folder: Path) -> None:
    done = run(torchrun("tests.evaluation.probing.two_ranks", str(folder)))
    assert done.status == 0, done.err


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "probing_of_two_ranks", make)


@pytest.fixture(scope="module")
def found(folder: Path) -> list[Mapping[str, Any]]:
    """What each rank found."""
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def assert_same_batch(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    torch.testing.assert_close(one[0], other[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(one[1], other[1]) and one[2] == other[2]


@pytest.mark.parametrize("case", BATCHES)
def test_every_rank_gets_the_batches_of_one_process(case: str, found: list[Mapping[str, Any]]) -> None:
    alone = found[0]["alone"]["batches"][case]
    assert [len(batch[1]) + len(batch[2]) for batch in alone] == [len(numbers) for numbers in BATCHES[case]]
    for of_rank in found:
        for batch, expected in zip(of_rank["ranks"]["batches"][case], alone, strict=True):
            assert_same_batch(batch, expected)
            assert len(batch[0]) == len(batch[1])


def test_loaders_change_nothing(found: list[Mapping[str, Any]]) -> None:
    for of_rank in found:
        assert_same_batch(of_rank["ranks"]["loaders"][0], found[0]["alone"]["batches"]["damaged on the second"][0])


def test_features_that_are_kept_are_those_of_one_process(found: list[Mapping[str, Any]], folder: Path) -> None:
    features, labels, damaged = found[0]["alone"]["kept"]
    assert labels[:, 0].tolist() == [number % 2 for number in range(23) if number not in (4, 9)]
    for of_rank in found:
        together = of_rank["ranks"]["kept"]
        np.testing.assert_allclose(together[0], features, rtol=1e-5, atol=1e-5)
        assert torch.equal(together[1], labels) and together[2] == damaged
    names = [sorted(path.name for path in (folder / f"kept by {who}").iterdir()) for who in ("alone", "ranks")]
    assert names[0] == names[1]


def test_pictures_of_many_sizes_are_those_of_one_process(found: list[Mapping[str, Any]]) -> None:
    features, counts, scores = found[0]["alone"]["own sizes"]
    assert len(set(counts)) > 3 and len(features) == counts.sum()
    for of_rank in found:
        together, of_each, other = of_rank["ranks"]["own sizes"]
        np.testing.assert_allclose(together, features, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(of_each, counts)
        assert other == scores


@pytest.mark.parametrize("kind", ["paper", "kept", "linear", "neighbours"])
def test_two_ranks_choose_and_score_as_one_process(kind: str, found: list[Mapping[str, Any]]) -> None:
    alone = found[0]["alone"]["scores"][kind]
    (task,) = alone["tasks"]
    if kind != "neighbours":
        assert len({score for seed in task["grid"] for score in seed}) > 1  # else every choice would be the same
    for of_rank in found:
        assert of_rank["ranks"]["scores"][kind] == alone
    assert alone["pictures"]["test"] == 31 and len(alone["damaged"]["test"]) == 2


@pytest.mark.parametrize("case", ERRORS)
def test_what_goes_wrong_on_one_rank_ends_both_at_once(case: str, found: list[Mapping[str, Any]]) -> None:
    (first, one), (second, other) = (of_rank["errors"][case] for of_rank in found)
    assert re.match(ERRORS[case], first), first
    assert re.match(f"RankFailed: .*{re.escape(first.partition(': ')[2][:40])}", second), second
    assert max(one, other) < 20


def test_features_that_fail_leave_nothing(found: list[Mapping[str, Any]], folder: Path) -> None:
    assert found
    assert {path.name for path in folder.iterdir() if " by " not in path.name} == {"shared", "0.pt", "1.pt"}
