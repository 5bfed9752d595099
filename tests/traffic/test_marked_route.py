"""What comes in has no route until netfilter has marked it, which is behind our program."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from netplan_tproxy.kernel.bpf.btf import knows_lookups_by_mark
from tests.lab.counters import counting
from tests.lab.marked_route import marked_away
from tests.lab.patience import PATIENCE
from tests.traffic import support
from tests.traffic.sockets import answer, exchange, receive
from tests.traffic.support import BEHIND, Applied, Family

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM = socket.SOCK_DGRAM


@pytest.fixture(scope="module")
def host() -> Iterator[Applied]:
    if not knows_lookups_by_mark():
        pytest.skip("this kernel looks up no route by a mark")
    with support.applied() as made, marked_away(made.lab.host):
        made.apply(support.make_site())
        yield made


def test_a_connection_is_taken(host: Applied, family: Family, tcp: socket.socket) -> None:
    with counting(host) as added:
        near, far = host.pair(tcp, BEHIND, family)
        with near, far:
            exchange(near, far, 1 << 18)
    assert added["lan0", "new"] == 1
    assert added["lan0", "local"] == 0


def test_a_datagram_is_taken(host: Applied, family: Family, udp: socket.socket) -> None:
    with host.client(BEHIND, family, DGRAM) as near:
        near.settimeout(PATIENCE)
        near.sendto(b"question", (family.far, 53))
        answer(host, receive(udp), b"answer")
        data, peer = near.recvfrom(100)
    assert (data, peer[:2]) == (b"answer", (family.far, 53))


@pytest.mark.usefixtures("udp")
def test_this_hosts_own_services_are_reached(host: Applied, family: Family) -> None:
    for address in (family.gate, family.host):
        with (
            host.lab.host.socket(family.number, DGRAM) as server,
            host.client(BEHIND, family, DGRAM) as near,
            counting(host) as added,
        ):
            server.bind((address, 4711))
            near.sendto(b"?", (address, 4711))
            assert server.recv(1) == b"?"
        assert {outcome for device, outcome in added if device == "lan0"} == {"local"}
