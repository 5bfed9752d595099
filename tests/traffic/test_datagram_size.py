"""Datagrams that don't fit one packet: those to be intercepted are dropped whole, and counted.

A fragment can't be given to a socket. What is not to be intercepted keeps its fragments.
"""

from __future__ import annotations

import math
import socket

import pytest

from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.traffic.sockets import answer, receive
from tests.traffic.support import BEHIND, BYPASS, UNBOUND, V6, Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM
UDP_SEGMENT = 103  # <linux/udp.h>
BIG = 4000
BIGGEST = 60_000


def echo_large(
    server: socket.socket, near: socket.socket, size: int, where: tuple[str, int]
) -> None:
    """One datagram of ``size`` bytes there and back."""
    data = bytes(range(250)) * (size // 250)
    near.sendto(data, where)
    got, source = server.recvfrom(65536)
    assert got == data
    server.sendto(got, source)
    assert near.recv(65536) == data


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("size", [BIG, BIGGEST])
def test_a_datagram_in_fragments_is_dropped_and_counted_fragment_by_fragment(
    host: Applied, family: Family, sender: Sender, udp: socket.socket, size: int
) -> None:
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        near.sendto(bytes(size), (family.far, 53))
        near.sendto(b"small", (family.far, 53))
        assert receive(udp).data == b"small"
    # The rest of a datagram whose first fragment is dropped this host does not even send.
    room = 1448 if family is V6 else 1480  # in a packet of 1500 bytes, in multiples of 8
    fragments = math.ceil((size + 8) / room)
    dropped = added[sender.interface, "fragment_dropped"]
    assert dropped == fragments if sender == BEHIND else 1 <= dropped <= fragments
    assert added[sender.interface, "intercepted"] == 1


@pytest.mark.usefixtures("no_leak")
def test_a_flow_goes_on_after_a_datagram_in_fragments(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    where = (family.far, 54)
    with host.client(sender, family, DGRAM) as near, counting(host) as added:
        for data in (b"before", bytes(BIG), b"after"):
            near.sendto(data, where)
        assert [receive(udp).data for _ in range(2)] == [b"before", b"after"]
    assert added[sender.interface, "fragment_dropped"] == (3 if sender == BEHIND else 1)


@pytest.mark.usefixtures("no_leak")
def test_a_reply_in_fragments_reaches_the_client(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    with host.client(sender, family, DGRAM) as near:
        near.sendto(b"question", (family.far, 53))
        data = bytes(range(250)) * (BIG // 250)
        answer(host, receive(udp), data)
        assert near.recv(65536) == data


@pytest.mark.usefixtures("no_leak")
def test_segmentation_offload_gives_the_proxy_the_datagrams_one_by_one(
    host: Applied, family: Family, sender: Sender, udp: socket.socket
) -> None:
    parts = [bytes([number]) * 1000 for number in range(20)]
    with host.client(sender, family, DGRAM) as near:
        near.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
        near.sendto(b"".join(parts) + b"rest", (family.far, 443))
        came = [receive(udp) for _ in range(21)]
    assert [each.data for each in came] == [*parts, b"rest"]
    assert {each.target for each in came} == {(family.far, 443)}


@pytest.mark.parametrize("size", [BIG, BIGGEST])
def test_a_bypassed_flow_keeps_its_fragments(host: Applied, family: Family, size: int) -> None:
    with (
        host.lab.net.socket(family.number, DGRAM) as server,
        host.client(UNBOUND, family, DGRAM, mark=BYPASS) as near,
    ):
        server.bind((family.far, 53))
        echo_large(server, near, size, (family.far, 53))


@pytest.mark.parametrize("size", [100, BIG], ids=["whole", "fragments"])
@pytest.mark.parametrize("answer_size", [100, BIG], ids=["whole", "fragments"])
def test_this_hosts_own_service_talks_to_the_outside_in_any_size(
    host: Applied, family: Family, size: int, answer_size: int
) -> None:
    """The first datagram of a flow may come in fragments, and the answer go out in them."""
    with (
        host.lab.host.socket(family.number, DGRAM) as server,
        host.lab.net.socket(family.number, DGRAM) as near,
    ):
        server.bind((family.host, 5300))
        near.sendto(bytes(size), (family.host, 5300))
        data, client = server.recvfrom(65536)
        assert len(data) == size
        server.sendto(bytes(answer_size), client)
        near.settimeout(PATIENCE)
        assert len(near.recv(65536)) == answer_size


@pytest.mark.parametrize("size", [250, BIG], ids=["whole", "fragments"])
def test_this_hosts_own_service_talks_to_those_behind_it_in_any_size(
    host: Applied, family: Family, size: int
) -> None:
    with (
        host.lab.host.socket(family.number, DGRAM) as server,
        host.client(BEHIND, family, DGRAM) as near,
    ):
        server.bind((family.gate, 5300))
        echo_large(server, near, size, (family.gate, 5300))
