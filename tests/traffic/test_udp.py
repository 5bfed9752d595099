"""Datagrams: one socket may talk to many, and the proxy answers in their names."""

from __future__ import annotations

import socket

import pytest

from tests.lab import Capture, Lab
from tests.lab.counters import counting
from tests.traffic.sockets import answer, leaks, listener, receive, transparent
from tests.traffic.support import BYPASS, UNBOUND, V4, Applied, Family, Sender, make_site

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("connected", ["connected", "unconnected"])
def test_a_datagram_reaches_the_proxy_and_its_reply_the_client(
    host: Applied, family: Family, sender: Sender, udp: socket.socket, connected: str
) -> None:
    where = (family.far, 53)
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        if connected == "connected":
            near.connect(where)
        for number in range(3):
            question = f"question {number}".encode()
            if connected == "connected":
                near.send(question)
            else:
                near.sendto(question, where)
            came = receive(udp)
            assert (came.data, came.target) == (question, where)
            assert came.source[1] == near.getsockname()[1]
            answer(host, came, b"answer")
            data, source = near.recvfrom(100)
            assert (data, source[:2]) == (b"answer", where)
    assert added[sender.interface, "intercepted"] == 3


@pytest.mark.usefixtures("no_leak")
def test_one_socket_talks_to_several_destinations(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    places = [(address, port) for address in (family.far, family.other) for port in (53, 443, 9040)]
    with host.client(sender, family, DGRAM) as near:
        for place in places:
            near.sendto(repr(place).encode(), place)
        came = [receive(udp) for _ in places]
        assert [each.target for each in came] == places
        assert len({each.source for each in came}) == 1
        for each in reversed(came):
            answer(host, each, each.data)
        for place in reversed(places):
            data, source = near.recvfrom(100)
            assert (data, source[:2]) == (repr(place).encode(), place)


@pytest.mark.usefixtures("no_leak")
def test_a_proxy_may_connect_a_socket_to_each_client(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    """What such a socket is connected to goes on there, and no longer to the listener."""
    where = (family.far, 53)
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        near.sendto(b"first", where)
        came = receive(udp)
        with host.lab.host.socket(family.number, DGRAM) as session:
            session.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            transparent(session)
            session.bind(where)
            session.connect(came.source)
            near.sendto(b"second", where)
            assert session.recv(100) == b"second"
            session.send(b"answer")
            assert near.recv(100) == b"answer"
        near.sendto(b"third", where)
        assert receive(udp).data == b"third"
    assert added[sender.interface, "new"] == 1


def test_a_marked_datagram_goes_out_directly(
    host: Applied, family: Family, udp: socket.socket, wire: Capture
) -> None:
    with (
        host.lab.net.socket(family.number, DGRAM) as server,
        host.client(UNBOUND, family, DGRAM, mark=BYPASS) as near,
    ):
        server.bind((family.far, 53))
        near.sendto(b"direct", (family.far, 53))
        data, source = server.recvfrom(100)
        server.sendto(data, source)
        assert near.recv(100) == b"direct"
    assert [packet.payload for packet in leaks(wire)] == [b"direct"]
    udp.settimeout(0.05)
    with pytest.raises(TimeoutError):
        udp.recv(100)


def test_a_socket_older_than_the_apply_is_intercepted_from_then_on() -> None:
    """UDP has no connection to keep whole: what it sends is judged when it is sent."""
    with Lab(lan=True, ipv6=True) as lab, lab.host.socket(kind=DGRAM) as near:
        on = Applied(lab)
        with lab.net.socket(kind=DGRAM) as server:
            server.bind((V4.far, 53))
            near.sendto(b"direct", (V4.far, 53))
            assert server.recv(100) == b"direct"
        on.apply(make_site())
        with listener(on, V4, DGRAM) as proxy, Capture(lab.net, "isp0") as wire:
            near.sendto(b"taken", (V4.far, 53))
            came = receive(proxy)
            assert came.data == b"taken"
            answer(on, came, b"answer")
            assert near.recv(100) == b"answer"
            assert leaks(wire) == []


def test_a_service_that_talks_first_after_the_apply_is_taken_for_a_client() -> None:
    """Who had visited it nobody remembers; a visitor that speaks first is answered."""
    with Lab(lan=True, ipv6=True) as lab, lab.host.socket(kind=DGRAM) as server:
        on = Applied(lab)
        server.bind((V4.host, 5300))
        visitors = [lab.net.socket(kind=DGRAM) for _ in range(2)]
        with visitors[0] as listens, visitors[1] as asks:
            for port, visitor in enumerate(visitors, 6000):
                visitor.bind((V4.far, port))
                visitor.sendto(b"hello", (V4.host, 5300))
                assert server.recv(100) == b"hello"
            on.apply(make_site())
            with listener(on, V4, DGRAM) as proxy:
                server.sendto(b"unasked", listens.getsockname())
                assert receive(proxy).data == b"unasked"
                asks.sendto(b"question", (V4.host, 5300))
                server.sendto(*server.recvfrom(100))
                assert asks.recv(100) == b"question"
