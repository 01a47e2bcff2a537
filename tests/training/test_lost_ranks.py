"""A rank that dies is told from one that has done its part, and a stranger's connection is no rank's."""

from __future__ import annotations

import socket
from threading import Thread

import pytest

from aimv2_lab.training import lost_ranks
from aimv2_lab.training.lost_ranks import _accepted, _connected, _server, lost_rank


def pairs(number: int) -> tuple[dict[socket.socket, int], list[socket.socket]]:
    """The first rank's ends by rank, and the other ends."""
    both = [socket.socketpair() for _ in range(number)]
    return {ours: rank for rank, (ours, _) in enumerate(both, 1)}, [theirs for _, theirs in both]


def test_a_rank_that_ends_without_a_word_is_lost_and_one_that_says_farewell_is_not() -> None:
    ours, theirs = pairs(3)
    for end in (theirs[0], theirs[2]):
        end.sendall(b"!")
        end.close()
    theirs[1].close()
    assert lost_rank(ours) == (2, False)


def test_the_first_rank_may_pass_on_that_another_is_lost() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"?")
    assert lost_rank({ours: 0}) == (0, True)


def test_where_all_said_farewell_none_is_lost() -> None:
    ours, theirs = pairs(2)
    for end in theirs:
        end.sendall(b"!")
        end.close()
    assert lost_rank(ours) is None


def test_strangers_are_turned_away_and_ranks_are_known_by_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    server, secret = _server(3), b"s" * 16
    port = server.getsockname()[1]
    found: list[dict[socket.socket, int]] = []
    waiting = Thread(target=lambda: found.append(_accepted(server, secret, 2)))
    waiting.start()
    names = [b"GET / HTTP/1.1\r\n\r\n  ", *(secret + rank.to_bytes(4, "big") for rank in (2, 1))]
    ends = [connection for name in names for connection in _connected(port, name)]
    waiting.join(10)
    assert list(found[0].values()) == [2, 1]
    assert ends[0].recv(1) == b""
    assert all(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for connection in [*ends, *found[0]])
    for connection in (*ends, *found[0], server):
        connection.close()


def test_a_rank_that_does_not_come_is_waited_for_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_ranks, "MEETING", 0.1)
    with _server(2) as server, pytest.raises(TimeoutError):
        _accepted(server, b"s" * 16, 1)
