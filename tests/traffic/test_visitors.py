"""Who outside talks to a UDP port of this host, and for how long that port may answer directly."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING

import pytest

from tests.lab import Capture
from tests.traffic.sockets import leaks, receive
from tests.traffic.tables import age_visitor, flow_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.traffic.support import Applied, Family

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
# The programs remember who has spoken from a port: each test has its own.
_ports = itertools.count(5400)


@pytest.fixture
def port() -> int:
    return next(_ports)


@pytest.fixture
def visitor(host: Applied, family: Family) -> Iterator[socket.socket]:
    with host.lab.net.socket(family.number, DGRAM) as near:
        near.bind((family.far, 53))
        yield near


@pytest.fixture
def wire(host: Applied) -> Iterator[Capture]:
    with Capture(host.lab.net, "isp0") as capture:
        yield capture


def opened(host: Applied, family: Family, port: int) -> socket.socket:
    at_port = host.lab.host.socket(family.number, DGRAM)
    at_port.bind((family.host, port))
    return at_port


def key(family: Family, port: int) -> bytes:
    return flow_key(socket.IPPROTO_UDP, (family.host, port), (family.far, 53))


@pytest.mark.parametrize("same", [True, False], ids=["the same socket", "the next socket"])
def test_a_port_is_free_no_longer_than_a_question_waits(  # noqa: PLR0917
    host: Applied, family: Family, udp: socket.socket, visitor: socket.socket, wire: Capture,
    port: int,
    *, same: bool,
) -> None:  # fmt: skip
    near = opened(host, family, port)
    visitor.sendto(b"forged", (family.host, port))
    assert near.recv(100) == b"forged"
    if not same:
        near.close()
        near = opened(host, family, port)
    with near:
        age_visitor(host, key(family, port), 34)
        near.sendto(b"question", (family.far, 53))
        assert receive(udp).data == b"question"
    assert leaks(wire) == []


def test_until_then_what_it_says_is_an_answer(
    host: Applied, family: Family, visitor: socket.socket, wire: Capture, port: int
) -> None:
    with opened(host, family, port) as server:
        visitor.sendto(b"hello", (family.host, port))
        assert server.recv(100) == b"hello"
        age_visitor(host, key(family, port), 20)
        server.sendto(b"answer", (family.far, 53))
        assert visitor.recv(100) == b"answer"
    assert [packet.payload for packet in leaks(wire)] == [b"answer"]


def test_a_service_answers_directly_however_late(
    host: Applied, family: Family, visitor: socket.socket, port: int
) -> None:
    with opened(host, family, port) as server:
        for number in range(2):
            visitor.sendto(b"hello", (family.host, port))
            assert server.recv(100) == b"hello"
            if number:
                age_visitor(host, key(family, port), 1000)
            server.sendto(b"answer", (family.far, 53))
            assert visitor.recv(100) == b"answer"


def test_a_service_that_was_started_again_answers_who_asks_again(
    host: Applied, family: Family, visitor: socket.socket, port: int
) -> None:
    for _ in range(2):
        with opened(host, family, port) as server:
            visitor.sendto(b"hello", (family.host, port))
            assert server.recv(100) == b"hello"
            server.sendto(b"answer", (family.far, 53))
            assert visitor.recv(100) == b"answer"
        age_visitor(host, key(family, port), 1000)


def test_whoever_goes_on_asking_goes_on_being_answered(
    host: Applied, family: Family, visitor: socket.socket, port: int
) -> None:
    """By a socket that has answered nobody yet."""
    with opened(host, family, port) as server:
        visitor.sendto(b"hello", (family.host, port))
        age_visitor(host, key(family, port), 1000)
        visitor.sendto(b"are you there", (family.host, port))
        assert (server.recv(100), server.recv(100)) == (b"hello", b"are you there")
        server.sendto(b"answer", (family.far, 53))
        assert visitor.recv(100) == b"answer"
