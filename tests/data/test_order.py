import hashlib
import itertools

import numpy as np
import pytest

from aimv2_lab.data.order import Order, Stream, sample_generator

STREAMS: tuple[Stream, ...] = ("order", "caption", "crop", "prefix", "replacement")
STREAM_PAIRS = list(itertools.combinations(STREAMS, 2))


@pytest.mark.parametrize("length", [1, 2, 7, 1000])
def test_every_epoch_is_a_permutation(length: int) -> None:
    order = Order(length, seed=3)
    for epoch in range(3):
        found = [order.index(epoch * length + position) for position in range(length)]
        assert [(e, p) for e, p, _ in found] == [(epoch, position) for position in range(length)]
        assert sorted(index for _, _, index in found) == list(range(length))


def indices(order: Order, epoch: int) -> list[int]:
    return [order.index(epoch * order.length + position)[2] for position in range(order.length)]


def test_epochs_and_seeds_give_different_permutations() -> None:
    permutations = [indices(Order(100, seed), epoch) for seed in range(3) for epoch in range(3)]
    for first, second in itertools.combinations(permutations, 2):
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 12


def test_a_position_does_not_depend_on_what_was_asked_before() -> None:
    order = Order(50, seed=1)
    forwards = [order.index(position) for position in range(500)]
    assert [order.index(position) for position in reversed(range(500))] == forwards[::-1]


def test_permutations_are_uniform() -> None:
    counts = np.zeros((5, 5))
    for seed in range(3000):
        counts[np.arange(5), indices(Order(5, seed), 0)] += 1
    assert np.abs(counts / 3000 - 0.2).max() < 0.03


def test_the_order_stays_what_it_was() -> None:
    """A run resumed with a later version of anything must see the same order: this digest may never change."""
    order = Order(10_000, seed=17)
    digest = hashlib.sha256(np.array(indices(order, 0) + indices(order, 1), dtype="<i8").tobytes()).hexdigest()
    assert digest[:16] == "ee378ea99369d077"


def test_an_empty_source_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Order(0, seed=0)


def test_a_generator_is_a_function_of_its_key() -> None:
    first = sample_generator(1, 2, 3, "crop").random(8)
    assert np.array_equal(first, sample_generator(1, 2, 3, "crop").random(8))
    others: list[tuple[int, int, int, Stream]] = [
        (2, 2, 3, "crop"),
        (1, 3, 3, "crop"),
        (1, 2, 4, "crop"),
        (1, 2, 3, "prefix"),
        (1, 3, 2, "crop"),
    ]
    for seed, epoch, position, stream in others:
        assert not np.intersect1d(first, sample_generator(seed, epoch, position, stream).random(8)).size


def test_draws_of_neighbours_do_not_overlap() -> None:
    """However many numbers one position draws, it never reaches the numbers of the next."""
    draws = [sample_generator(0, 0, position, "crop").bit_generator.random_raw(1000) for position in range(20)]
    assert len(np.unique(np.concatenate(draws))) == 20_000


@pytest.mark.parametrize(("one", "other"), STREAM_PAIRS)
def test_streams_are_independent(one: Stream, other: Stream) -> None:
    def first_draws(stream: Stream) -> np.ndarray:
        return np.array([sample_generator(0, 0, position, stream).random() for position in range(3000)])

    assert abs(np.corrcoef(first_draws(one), first_draws(other))[0, 1]) < 0.06


def test_first_draws_are_uniform_over_positions_and_epochs() -> None:
    for draws in (
        [sample_generator(5, 0, position, "prefix").random() for position in range(4000)],
        [sample_generator(5, epoch, 0, "prefix").random() for epoch in range(4000)],
    ):
        assert np.abs(np.quantile(draws, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.03
        assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.06


@pytest.mark.parametrize("key", [(-1, 0, 0), (0, -1, 0), (0, 0, -1)])
def test_negative_keys_are_refused(key: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        sample_generator(*key, "crop")
