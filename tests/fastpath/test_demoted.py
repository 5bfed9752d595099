"""What a program meets on a socket whose incoming direction has changed from the queue to TCP."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.kernel.sockets import diag
from tests.fastpath.support import Counted, receive
from tests.lab.patience import PATIENCE, comes_true

if TYPE_CHECKING:
    from tests.datapath import support

pytestmark = [pytest.mark.lab, pytest.mark.bpf]


def demoted(pair: support.Pair) -> None:
    """Send more than the budget and read it all: that direction is TCP's now."""
    pair.near.sendall(b"x" * 300_000)
    assert receive(pair.far, 300_000) == b"x" * 300_000


def test_recv_q_is_the_queue_of_tcp_alone(host: support.Applied, ends: support.Pair) -> None:
    def recv_q() -> int:
        port = ends.far.getpeername()[1]
        with host.lab.host.entered():
            both = list(diag.sockets("tcp", socket.AF_INET, diag.ESTABLISHED))
        return next(one.queued for one in both if one.remote_port == port)

    ends.near.sendall(b"x" * 1000)
    assert recv_q() == 0
    assert receive(ends.far, 1000) == b"x" * 1000
    demoted(ends)
    ends.near.sendall(b"x" * 1000)
    assert comes_true(lambda: recv_q() == 1000)


def test_edge_triggered_epoll_tells_of_every_message_over_tcp(
    host: support.Applied, ends: support.Pair
) -> None:
    counted = Counted(host)
    demoted(ends)
    assert counted()["demoted_budget"] == 1
    with select.epoll() as poll:
        poll.register(ends.far, select.EPOLLIN | select.EPOLLET)
        poll.poll(0.05)
        for _ in range(5):
            ends.near.sendall(b"x")
            assert [number for number, _ in poll.poll(PATIENCE)] == [ends.far.fileno()]
        assert comes_true(lambda: ends.far.recv(9, socket.MSG_PEEK) == b"x" * 5)
        assert receive(ends.far, 5) == b"x" * 5
        ends.near.sendall(b"y")
        assert poll.poll(PATIENCE)
    assert ends.far.recv(1) == b"y"


def test_edge_triggered_epoll_and_reading_until_eagain_gets_everything_of_a_demotion(
    host: support.Applied, ends: support.Pair
) -> None:
    counted = Counted(host)
    assert read_by_edges(ends, until_eagain=True) == 300_000
    assert counted()["demoted_budget"] == 1


def test_a_short_read_may_come_before_the_end_of_what_waits(
    host: support.Applied, ends: support.Pair
) -> None:
    """epoll(7) lets a stream's reader take it for drained: what TCP brought waits on then."""
    counted = Counted(host)
    assert 0 < read_by_edges(ends, until_eagain=False) < 300_000
    assert counted()["demoted_budget"] == 1


def read_by_edges(pair: support.Pair, *, until_eagain: bool) -> int:
    """Send what is demoted halfway, and read it as told by edges; how many bytes that gives."""
    pair.far.setblocking(False)  # noqa: FBT003
    # Some in the queue, some over TCP and there, before anybody reads.
    for _ in range(30):
        pair.near.sendall(b"x" * 10_000)
    assert comes_true(lambda: not unacknowledged(pair.near))
    got = 0
    with select.epoll() as poll:
        poll.register(pair.far, select.EPOLLIN | select.EPOLLET)
        while got < 300_000 and poll.poll(PATIENCE if until_eagain else 0.5):
            while True:
                try:
                    part = len(pair.far.recv(1 << 20))
                except BlockingIOError:
                    break
                got += part
                if not until_eagain and part < 1 << 20:
                    break
    return got


def unacknowledged(end: socket.socket) -> int:
    """How many bytes it has sent over TCP that nobody has acknowledged."""
    return int(struct.unpack("=i", fcntl.ioctl(end, termios.TIOCOUTQ, bytes(4)))[0])
