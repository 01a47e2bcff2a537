"""Memory of a worker stays where it is; 50,000 samples are gone through by benchmarks/memory.py."""

from benchmarks.memory import growth, held_by_workers


def test_a_worker_does_not_grow() -> None:
    rows = list(held_by_workers(4_000, workers=1))
    assert max(growth(rows)) < 2  # MiB; a kilobyte kept of every sample would make two


def test_growth_is_that_of_the_second_half() -> None:
    assert growth([[1.0], [5.0], [6.0], [9.0]]) == [4.0]
