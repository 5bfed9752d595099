"""How long the verdict on a UDP flow holds: as conntrack's flows, and as its configuration."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from netplan_tproxy.datapath.flows import tracked_datagrams
from netplan_tproxy.datapath.host import Kernel
from tests.lab.counters import counting
from tests.traffic import support
from tests.traffic.sockets import listener, receive
from tests.traffic.support import BEHIND, UNBOUND, Applied, Family, Sender
from tests.traffic.tables import age, flow_key

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DGRAM, UDP = socket.SOCK_DGRAM, socket.IPPROTO_UDP
PORT = 5400


class Talk:
    """A flow that went out directly as nobody listened; the proxy listens now."""

    def __init__(self, on: Applied, sender: Sender, family: Family) -> None:
        self.on, self.sender, self.family = on, sender, family
        self.server = on.lab.net.socket(family.number, DGRAM)
        self.server.bind((family.far, PORT))
        self.near = on.client(sender, family, DGRAM)
        self.near.connect((family.far, PORT))
        self.near.send(b"first")
        for end in (self.server, self.near):
            end.settimeout(2)
        assert self.server.recv(10) == b"first"
        self.proxy = listener(on, family, DGRAM)
        self._count = 0

    def key(self) -> bytes:
        return flow_key(UDP, self.near.getsockname()[:2], self.near.getpeername()[:2])

    def goes_out(self) -> bool:
        """Send a datagram; whether it arrives at the far end, and not at the proxy."""
        data = f"number {self._count}".encode()
        self._count += 1
        with counting(self.on) as added:
            self.near.send(data)
        if added[self.sender.interface, "intercepted"]:
            assert receive(self.proxy).data == data
            return False
        assert self.server.recv(20) == data
        return True

    def close(self) -> None:
        for end in (self.server, self.near, self.proxy):
            end.close()


@pytest.fixture(scope="module")
def bypassing() -> Iterator[Applied]:
    with support.applied(support.make_site(when_down="bypass")) as made:
        yield made


@pytest.fixture
def behind(bypassing: Applied, family: Family) -> Iterator[Talk]:
    made = Talk(bypassing, BEHIND, family)
    yield made
    made.close()


@pytest.fixture
def local(bypassing: Applied, family: Family) -> Iterator[Talk]:
    made = Talk(bypassing, UNBOUND, family)
    yield made
    made.close()


def test_a_flow_from_behind_ends_when_it_was_idle_for_thirty_seconds(behind: Talk) -> None:
    assert behind.goes_out()
    age(behind.on, behind.key(), 28)
    assert behind.goes_out()
    age(behind.on, behind.key(), 32)
    assert not behind.goes_out()
    assert not behind.goes_out()


def test_one_that_went_on_for_a_while_ends_after_two_minutes(behind: Talk) -> None:
    for idle in (32, 117):
        age(behind.on, behind.key(), idle, lived=5)
        assert behind.goes_out()
    age(behind.on, behind.key(), 122, lived=5)
    assert not behind.goes_out()


def test_another_file_decides_again_on_flows_from_behind(behind: Talk) -> None:
    """The same one does not, whoever applies it."""
    behind.on.apply(support.make_site(when_down="bypass"))
    assert behind.goes_out()
    try:
        behind.on.apply(support.make_site())
        assert not behind.goes_out()
        behind.proxy.close()
        behind.near.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            behind.near.recv(1)
    finally:
        behind.on.apply(support.make_site(when_down="bypass"))


def test_a_flow_of_a_local_socket_ends_with_the_socket(local: Talk) -> None:
    """However long it says nothing, whatever the file says by now."""
    age(local.on, local.key(), 100_000)
    assert local.goes_out()
    try:
        local.on.apply(support.make_site())
        assert local.goes_out()
    finally:
        local.on.apply(support.make_site(when_down="bypass"))
    port = local.near.getsockname()[1]
    local.near.close()
    local.near = local.on.client(UNBOUND, local.family, DGRAM)
    local.near.bind(("", port))
    local.near.connect((local.family.far, PORT))
    assert not local.goes_out()


def test_what_is_over_is_not_counted_among_the_flows(behind: Talk) -> None:
    with behind.on.lab.host.entered(), Kernel() as kernel:
        before = tracked_datagrams(kernel.bpf.maps).bypassed
        age(behind.on, behind.key(), 40)
        assert tracked_datagrams(kernel.bpf.maps).bypassed == before - 1
