"""What is held out must stay so from version to version: other pairs would have been trained on."""

import numpy as np
import pytest

from aimv2_lab.data.shares import key_hash, key_shares, shares_of


@pytest.mark.parametrize(("key", "share"), [("00000/00000007", 0.6549791634053479), ("ü\udcff", 0.981205325137897)])
def test_the_share_of_a_key_never_changes(key: str, share: float) -> None:
    assert key_shares([key]).tolist() == [share] == [key_hash(key) / 2**64]


def test_shares_are_uniform() -> None:
    shares = key_shares(f"00000/{number:08d}" for number in range(20_000))
    assert np.abs(np.histogram(shares, bins=10, range=(0, 1))[0] / 2_000 - 1).max() < 0.1


def test_shares_of_hashes_lie_between_0_and_1() -> None:
    assert shares_of(np.array([0, 2**63, 2**64 - 1], dtype=np.uint64)).tolist() == [0.0, 0.5, 1.0]
