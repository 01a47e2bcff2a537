"""Ends a rank when another one has died, also in the middle of a wait for its GPU that nothing else ends.

A connection that breaks raises an error in a collective of gloo. One of NCCL has no such sign from a process on the
same machine, nor from a machine that is gone: it waits for its timeout, and answers no signal meanwhile. So every rank
holds a connection to the first one, which the operating system closes when the process is no more.
"""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from threading import Thread

from aimv2_lab.training.ranks import RankFailed, Ranks
from aimv2_lab.training.run.stopping import Preempted

GRACE = 15.0  # seconds in which a rank may end by itself, with a better message, after it lost another; our choice
MEETING = 60.0  # seconds in which the connections must be made; our choice
# A machine that is gone closes nothing: it is asked after 10 seconds without a word, and 3 times 5 seconds apart.
_ASKED = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
RESUME = "add --resume to go on from the newest checkpoint"
_FAREWELL, _LOSS = b"!", b"?"  # the loss of another is what the first rank passes on
_NAME = struct.Struct("!16sI")  # what the ranks of this run alone know, and the rank


@contextmanager
def ended_with_the_others(ranks: Ranks, go_on: str = RESUME) -> Iterator[None]:
    """End this process, with status 1, where another rank ends within the block without its own block having ended.

    `go_on` is what the message says to do then. An error that all ranks have, RankFailed or Preempted, is an end of the
    block too. After any other one this process ends in GRACE seconds at the latest, by SIGALRM where Python's own end
    takes longer.
    """
    if ranks.size == 1:
        yield
        return
    others = _connections(ranks)
    os.register_at_fork(after_in_child=lambda: _close(others))  # a loader's worker that outlives its rank holds none
    Thread(target=_end_after_a_loss, args=(others, ranks.rank, go_on), daemon=True).start()
    try:
        yield
    except (RankFailed, Preempted):
        _say(others, _FAREWELL)
        raise
    except BaseException:
        _close(others)  # they hear of it at once
        signal.setitimer(signal.ITIMER_REAL, GRACE)  # where torch, on its way out, waits for what never comes
        raise
    _say(others, _FAREWELL)


def lost_rank(others: Mapping[socket.socket, int]) -> tuple[int, bool] | None:
    """Wait until one of the ranks at the other ends is lost or says that another is; None where all say farewell.

    Returns the one at the other end, and whether it lives and only passes on the news.
    """
    with selectors.DefaultSelector() as selector:
        for connection, rank in others.items():
            selector.register(connection, selectors.EVENT_READ, rank)
        while selector.get_map():
            for key, _ in selector.select():
                heard = _heard(key.fileobj)  # type: ignore[arg-type]
                if heard != _FAREWELL:
                    return int(key.data), heard == _LOSS
                selector.unregister(key.fileobj)
    return None


def _heard(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except OSError:
        return b""


def _end_after_a_loss(others: Mapping[socket.socket, int], rank: int, go_on: str) -> None:
    found = lost_rank(others)
    if found is None:
        return
    lost, is_news = found
    if rank == 0:
        _say(others, _LOSS)
    time.sleep(GRACE)
    if not is_news:  # else the first rank says it
        print(
            f"\nrank {rank} ends: it lost rank {lost} {GRACE:.0f} seconds ago and still waits for it. Look for what "
            f"was said before; {go_on}",
            file=sys.stderr,
            flush=True,
        )
    os._exit(1)  # whatever the main thread waits for, it does not come back to Python


def _connections(ranks: Ranks) -> dict[socket.socket, int]:
    """The first rank's connections to all others, or another's one to the first, by the rank at the other end."""
    server = _server(ranks.size) if ranks.is_first else None
    secret, port = ranks.from_first(lambda: (secrets.token_bytes(16), server.getsockname()[1] if server else 0))
    if server is None:
        return ranks.together(lambda: _connected(port, _NAME.pack(secret, ranks.rank)))
    with closing(server):
        return ranks.together(lambda: _accepted(server, secret, ranks.size - 1))


def _server(size: int) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    return socket.create_server(("", 0), family=family, backlog=size, dualstack_ipv6=both)


def _connected(port: int, name: bytes) -> dict[socket.socket, int]:
    connection = socket.create_connection((os.environ["MASTER_ADDR"], port), MEETING)
    connection.sendall(name)
    _watch_the_machine(connection)
    return {connection: 0}


def _accepted(server: socket.socket, secret: bytes, number: int) -> dict[socket.socket, int]:
    """Connections of so many ranks; whoever else knocks is turned away. Raises TimeoutError."""
    found: dict[socket.socket, int] = {}
    end = time.monotonic() + MEETING
    while len(found) < number:
        server.settimeout(max(end - time.monotonic(), 0.001))
        connection, _ = server.accept()
        connection.settimeout(5.0)
        with suppress(OSError):
            name = connection.recv(_NAME.size, socket.MSG_WAITALL)
            if name[:16] == secret:
                found[connection] = _NAME.unpack(name)[1]
                _watch_the_machine(connection)
                continue
        connection.close()
    return found


def _watch_the_machine(connection: socket.socket) -> None:
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _ASKED.items():
        if hasattr(socket, name):  # Linux has all of them
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _say(others: Mapping[socket.socket, int], word: bytes) -> None:
    for connection in others:
        with suppress(OSError):  # the other end may have ended first
            connection.sendall(word)


def _close(others: Mapping[socket.socket, int]) -> None:
    for connection in others:
        connection.close()
