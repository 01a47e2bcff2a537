import hashlib
import itertools

import numpy as np
import pytest

from aimv2_lab.data.order import WINDOW_SHARDS, MixedOrder, Order, Stream, sample_generator

STREAMS: tuple[Stream, ...] = ("order", "shards", "mixture", "caption", "crop", "prefix", "replacement")
MANY_SHARDS = [3, 1, 0, 5, 2] * 9  # three windows, the last of them not full
AIMV2 = (30, 30, 9, 28, 3)  # the paper's shares: two kinds of captions of DFN-2B, COYO, two of HQITP
STREAM_PAIRS = list(itertools.combinations(STREAMS, 2))


@pytest.mark.parametrize("shards", [[1], [2], [7], [1000], [3, 4], MANY_SHARDS], ids=str)
def test_every_epoch_is_a_permutation(shards: list[int]) -> None:
    order, length = Order(shards, seed=3), sum(shards)
    for epoch in range(3):
        found = [order.index(epoch * length + position) for position in range(length)]
        assert [(e, p) for e, p, _ in found] == [(epoch, position) for position in range(length)]
        assert sorted(index for _, _, index in found) == list(range(length))


def indices(order: Order, epoch: int) -> list[int]:
    return [order.index(epoch * order.length + position)[2] for position in range(order.length)]


def test_epochs_and_seeds_give_different_permutations() -> None:
    permutations = [indices(Order([100], seed), epoch) for seed in range(3) for epoch in range(3)]
    for first, second in itertools.combinations(permutations, 2):
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 12


def test_a_position_does_not_depend_on_what_was_asked_before() -> None:
    order = Order(MANY_SHARDS, seed=1)
    forwards = [order.index(position) for position in range(500)]
    assert [order.index(position) for position in reversed(range(500))] == forwards[::-1]
    assert [Order(MANY_SHARDS, seed=1).index(position) for position in (3, 444, 120)] == [
        forwards[i] for i in (3, 444, 120)
    ]


def test_permutations_are_uniform() -> None:
    counts = np.zeros((5, 5))
    for seed in range(3000):
        counts[np.arange(5), indices(Order([5], seed), 0)] += 1
    assert np.abs(counts / 3000 - 0.2).max() < 0.03


def test_the_order_stays_what_it_was() -> None:
    """A run resumed with a later version of anything must see the same order: this digest may never change."""
    order = Order([10_000], seed=17)
    digest = hashlib.sha256(np.array(indices(order, 0) + indices(order, 1), dtype="<i8").tobytes()).hexdigest()
    assert digest[:16] == "ee378ea99369d077"


def test_the_order_of_many_shards_and_of_a_mixture_stays_what_it_was() -> None:
    """As above: raise ORDER_VERSION before changing what these say."""
    order, mixture = Order([100] * 40, seed=17), MixedOrder([[50] * 20, [70]], (3, 4), seed=17)
    found = [order.index(position)[2] for position in range(8000)]
    mixed = [mixture.place(position) for position in range(2000)]
    digests = [hashlib.sha256(np.array(values, dtype="<i8").tobytes()).hexdigest()[:16] for values in (found, mixed)]
    assert digests == ["9dc0e270688812e1", "906a46073aa74aeb"]


def test_a_window_reads_few_shards_and_an_epoch_all_of_them() -> None:
    order = Order([10] * (3 * WINDOW_SHARDS), seed=5)
    window = 10 * WINDOW_SHARDS
    shards = [index // 10 for index in indices(order, 0)]
    windows = [set(shards[start : start + window]) for start in range(0, 3 * window, window)]
    assert [len(found) for found in windows] == [WINDOW_SHARDS] * 3
    assert set.union(*windows) == set(range(3 * WINDOW_SHARDS))
    assert windows[0] != {index // 10 for index in indices(order, 1)[:window]}  # each epoch draws its own windows
    inside = indices(order, 0)[:window]
    assert inside != sorted(inside)


def test_shards_that_one_window_holds_are_permuted_as_a_whole() -> None:
    """So that a small set keeps its order when its pairs are packed into other files."""
    assert indices(Order([4, 0, 6], seed=2), 1) == indices(Order([10], seed=2), 1)


@pytest.mark.parametrize("shards", [[], [0], [0, 0]])
def test_an_empty_source_is_refused(shards: list[int]) -> None:
    with pytest.raises(ValueError, match="empty"):
        Order(shards, seed=0)


@pytest.mark.parametrize("weights", [AIMV2, (1,), (1, 2), (1, 1, 1, 1)], ids=str)
def test_every_block_holds_the_shares_exactly(weights: tuple[int, ...]) -> None:
    order = MixedOrder([[1000]] * len(weights), weights, seed=1)
    block = sum(weights)
    for start in range(0, 20 * block, block):
        found = [order.place(position).source for position in range(start, start + block)]
        assert tuple(found.count(source) for source in range(len(weights))) == weights


def test_blocks_differ() -> None:
    order = MixedOrder([[1000]] * 5, AIMV2, seed=1)
    blocks = [[order.place(100 * block + slot).source for slot in range(100)] for block in range(3)]
    assert blocks[0] != blocks[1] != blocks[2] != blocks[0]


def test_every_source_of_a_mixture_goes_through_its_own_epochs() -> None:
    shards = [[30, 20], [7], MANY_SHARDS]
    order = MixedOrder(shards, (2, 1, 3), seed=4)
    places = [order.place(position) for position in range(600)]
    for source, sizes in enumerate(shards):
        own = [place for place in places if place.source == source]
        assert [place.epoch * sum(sizes) + place.position for place in own] == list(range(len(own)))
        for epoch in range(len(own) // sum(sizes)):
            assert sorted(place.row for place in own if place.epoch == epoch) == list(range(sum(sizes)))
    assert [place.row for place in places if place.source == 0][:50] != [p.row for p in places if p.source == 2][:50]


def test_counts_are_those_of_the_places() -> None:
    order = MixedOrder([[9]] * 3, (5, 1, 2), seed=0)
    sources = [order.place(position).source for position in range(100)]
    for positions in (0, 1, 8, 13, 64, 100):
        assert order.counts(positions) == tuple(sources[:positions].count(source) for source in range(3))


@pytest.mark.parametrize(
    ("lengths", "weights"), [([9], (1,)), ([9], (4,)), ([9, 30, 2], (5, 1, 2)), ([1, 50], (9, 1)), ([20, 20], (1, 1))]
)
def test_positions_before_repeats_are_as_many_as_can_be(lengths: list[int], weights: tuple[int, ...]) -> None:
    order = MixedOrder([[length] for length in lengths], weights, seed=3)
    most = order.before_repeats()
    places = [order.place(position) for position in range(most + 1)]
    assert len({(place.source, place.row) for place in places[:most]}) == most
    assert places[most].epoch == 1 and not any(place.epoch for place in places[:most])


def test_one_source_stands_as_without_a_mixture() -> None:
    alone, order = MixedOrder([[50]], (3,), seed=8), Order([50], seed=8)
    assert [tuple(alone.place(position))[1:] for position in range(120)] == [order.index(p) for p in range(120)]


@pytest.mark.parametrize("weights", [(1,), (1, 0), (1, -2), (1, 0.5), ()])
def test_weights_must_be_positive_whole_numbers_one_for_each_source(weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"weights .* of 2 sources: one positive whole number each"):
        MixedOrder([[3], [4]], weights, seed=0)


def test_sources_draw_independently() -> None:
    """The same position of the same epoch, in two sources."""
    first, second = (
        np.array([sample_generator(0, 0, position, "crop", source).random() for position in range(3000)])
        for source in (0, 1)
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06


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


@pytest.mark.parametrize("key", [(-1, 0, 0, 0), (0, -1, 0, 0), (0, 0, -1, 0), (0, 0, 0, -1)])
def test_negative_keys_are_refused(key: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        sample_generator(*key[:3], "crop", key[3])
