"""What a full table forgets, and what becomes of the flow then."""

from __future__ import annotations

import socket

import pytest

from netplan_tproxy.datapath import layouts
from tests.lab import Capture
from tests.lab.counters import counting
from tests.traffic.sockets import answer, leaks, receive
from tests.traffic.support import BEHIND, BOUND, UNBOUND, Applied, Family, Sender
from tests.traffic.tables import age, flow_key, forget, wipe

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP


def key_of(near: socket.socket, proto: int) -> bytes:
    return flow_key(proto, near.getsockname()[:2], near.getpeername()[:2])


@pytest.mark.usefixtures("no_leak")
def test_a_datagram_flow_that_was_forgotten_is_decided_again(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        near.connect((family.far, 53))
        for number in range(2):
            near.send(bytes([number]))
            came = receive(udp)
            assert came.data == bytes([number])
            assert forget(host, layouts.TRACKED, key_of(near, UDP))
        answer(host, came, b"answer")
        assert near.recv(100) == b"answer"
    assert added[sender.interface, "new"] == 2


@pytest.mark.usefixtures("no_leak")
def test_a_bound_client_that_was_forgotten_still_gets_its_answer(
    host: Applied, family: Family, udp: socket.socket
) -> None:
    """It comes over ``lo``, and the stack takes it for the device that has the address."""
    with host.client(BOUND, family, DGRAM) as near, counting(host) as added:
        near.connect((family.far, 53))
        near.send(b"question")
        came = receive(udp)
        assert forget(host, layouts.REPLIES, key_of(near, UDP))
        answer(host, came, b"answer")
        assert near.recv(100) == b"answer"
        near.send(b"another")
        answer(host, receive(udp), b"answer")
        assert near.recv(100) == b"answer"
    assert added["wan0", "reply"] == 1


@pytest.mark.usefixtures("no_leak")
def test_a_connection_from_behind_needs_no_entry(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    near, far = host.pair(tcp, BEHIND, family)
    with near, far:
        assert forget(host, layouts.TRACKED, key_of(near, TCP))
        near.sendall(b"question")
        assert far.recv(100) == b"question"
        far.sendall(b"answer")
        assert near.recv(100) == b"answer"


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("sender", [UNBOUND, BOUND], ids=["unbound", "bound"])
def test_a_connection_of_this_host_is_carried_although_it_was_forgotten(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    """A bound client's first answer alone needs the entry; the client brings it back."""

    def forgotten() -> None:
        if sender is BOUND:
            assert forget(host, layouts.REPLIES, key_of(near, TCP))
        else:
            wipe(host, layouts.RECENT)

    near, far = host.pair(tcp, sender, family)
    with near, far:
        forgotten()
        near.sendall(b"question")
        assert far.recv(100) == b"question"
        forgotten()
        far.sendall(b"answer")
        assert near.recv(100) == b"answer"


def test_an_idle_visitor_that_was_forgotten_is_a_stranger_until_it_asks_again(
    host: Applied, family: Family, udp: socket.socket
) -> None:
    """Until then what this host's service says to it unasked counts as a flow of this host's.

    ``bypass`` by user or cgroup keeps a service's flows out of this.
    """
    with (
        host.lab.host.socket(family.number, DGRAM) as server,
        host.lab.net.socket(family.number, DGRAM) as near,
        Capture(host.lab.net, "isp0") as wire,
    ):
        server.bind((family.host, 5301))
        near.bind((family.far, 0))
        near.connect((family.host, 5301))
        near.send(b"hello")
        _, visitor = server.recvfrom(100)
        server.sendto(b"answer", visitor)
        assert near.recv(100) == b"answer"
        key = flow_key(UDP, server.getsockname()[:2], near.getsockname()[:2])
        assert forget(host, layouts.INBOUND, key)
        server.sendto(b"unasked", visitor)
        assert receive(udp).data == b"unasked"
        near.send(b"hello again")
        assert server.recv(100) == b"hello again"
        server.sendto(b"asked", visitor)
        assert near.recv(100) == b"asked"
        server.sendto(b"more", visitor)
        assert near.recv(100) == b"more"
        sent = [b"answer", b"asked", b"more"]
        assert [packet.payload for packet in leaks(wire)] == sent


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("sender", [UNBOUND, BOUND], ids=["unbound", "bound"])
def test_a_forged_visitor_turns_no_flow_of_a_client(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    """Whether the proxy has answered it or not, and however long it said nothing."""
    with (
        host.client(sender, family, DGRAM) as near,
        host.lab.net.socket(family.number, DGRAM) as forger,
    ):
        near.bind((family.host, 5303))
        forger.bind((family.far, 53))
        for number in range(3):
            near.sendto(bytes([number]), (family.far, 53))
            came = receive(udp)
            assert came.data == bytes([number])
            if number:
                answer(host, came, b"answer")
                assert near.recv(100) == b"answer"
            key = flow_key(UDP, (family.host, 5303), (family.far, 53))
            age(host, key, 1000)
            forger.sendto(b"forged", (family.host, 5303))
            assert near.recv(100) == b"forged"


def test_a_forged_visitor_turns_no_flow_that_a_service_began_and_the_proxy_answered(
    host: Applied, family: Family, udp: socket.socket
) -> None:
    """A socket that serves may have flows of its own."""
    with (
        host.lab.host.socket(family.number, DGRAM) as server,
        host.lab.net.socket(family.number, DGRAM) as visitor,
        host.lab.net.socket(family.number, DGRAM) as forger,
        Capture(host.lab.net, "isp0") as wire,
    ):
        server.bind((family.host, 5304))
        visitor.bind((family.far, 5305))
        visitor.sendto(b"hello", (family.host, 5304))
        server.sendto(b"welcome", server.recvfrom(100)[1])
        assert visitor.recv(100) == b"welcome"
        server.sendto(b"question", (family.other, 53))
        answer(host, receive(udp), b"answer")
        assert server.recv(100) == b"answer"
        forger.bind((family.other, 53))
        forger.sendto(b"forged", (family.host, 5304))
        assert server.recv(100) == b"forged"
        server.sendto(b"another", (family.other, 53))
        assert receive(udp).data == b"another"
        assert [packet.payload for packet in leaks(wire)] == [b"welcome"]
