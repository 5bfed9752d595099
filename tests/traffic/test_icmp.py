"""Path MTU and ICMP errors, for either end of an intercepted connection."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from tests.lab.counters import counting
from tests.lab.patience import PATIENCE
from tests.lab.streams import read_exactly
from tests.traffic.icmp import message, quotation, raw, send_too_big
from tests.traffic.sockets import exchange
from tests.traffic.support import BEHIND, BOUND, UNBOUND, V4, Applied, Family, Sender

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21  # <linux/tcp.h>


@pytest.fixture
def mtu(host: Applied, sender: Sender) -> Iterator[None]:
    yield
    set_mtu(host, sender, 1500)


def set_mtu(host: Applied, sender: Sender, mtu: int, *, both_ends: bool = True) -> None:
    """Set the MTU of the interface that sees the sender, and of the sender's own."""
    host.lab.host.run(["ip", "link", "set", sender.interface, "mtu", str(mtu)])
    if sender is BEHIND and both_ends:
        host.lan.run(["ip", "link", "set", "eth0", "mtu", str(mtu)])


def path_mtu(end: socket.socket) -> int:
    """Give tcpi_pmtu: the 15th 32-bit word of struct tcp_info behind 8 bytes of flags."""
    return int(
        struct.unpack_from("=I", end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 60)[0]
    )


def next_expected(end: socket.socket) -> int:
    """Give the sequence number that ``end`` waits for."""
    end.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    end.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, 1)  # that of received data
    found = end.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ)
    end.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)  # off, without a window probe
    return found & 0xFFFFFFFF


@pytest.mark.usefixtures("no_leak", "mtu")
@pytest.mark.parametrize("moment", ["before", "between"])
def test_an_interface_with_a_low_mtu_carries_connections(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket, moment: str
) -> None:
    if moment == "before":
        set_mtu(host, sender, 1280, both_ends=False)  # the handshake tells it to the other
    near, far = host.pair(tcp, sender, family)
    with near, far:
        near.sendall(bytes(5000))
        far.sendall(bytes(5000))
        assert len(read_exactly(far, 5000)) == len(read_exactly(near, 5000)) == 5000
        if moment == "between":
            # A frame above its MTU is no frame to a veth, but for those that offload makes.
            set_mtu(host, sender, 1280)
        exchange(near, far, 1 << 20)


@pytest.mark.usefixtures("no_leak")
def test_a_router_behind_may_tell_the_original_destination_of_a_low_mtu(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    """The error goes to the original destination; it is meant for the proxy's socket."""
    near, far = host.pair(tcp, BEHIND, family)
    with near, far, counting(host) as added:
        far.sendall(bytes(100))
        assert len(read_exactly(near, 100)) == 100
        assert path_mtu(far) == 1500
        quoted = quotation((family.far, 80), near.getsockname()[:2], next_expected(near))
        send_too_big(host.lan, family.far, quoted, 1300)
        deadline = time.monotonic() + PATIENCE
        while path_mtu(far) != 1300 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path_mtu(far) == 1300
        exchange(near, far, 1 << 20)
    assert added["lan0", "icmp"] == 1


@pytest.mark.parametrize("sender", [UNBOUND, BOUND], ids=["unbound", "bound"])
def test_an_error_from_outside_about_an_intercepted_connection_does_not_break_it(
    host: Applied, family: Family, sender: Sender, tcp: socket.socket
) -> None:
    near, far = host.pair(tcp, sender, family)
    v6 = family is not V4
    kinds = [(1, 0), (1, 4), (3, 0)] if v6 else [(3, 1), (3, 3), (11, 0)]
    quoted = quotation(near.getsockname()[:2], (family.far, 80))
    with near, far:
        send_too_big(host.lab.net, family.host, quoted, 1280)
        with raw(host.lab.net, family.number) as end:
            for kind, code in kinds:
                end.sendto(message(kind, code, bytes(4) + quoted, v6=v6), (family.host, 0))
        exchange(near, far, 1 << 20)
    again = host.pair(tcp, sender, family)
    with again.near, again.far:
        exchange(*again, 1 << 20)


def test_errors_about_other_peoples_packets_are_passed_on(
    host: Applied, family: Family, tcp: socket.socket
) -> None:
    del tcp
    quoted = quotation((family.far, 4711), (family.behind, 4712))
    with raw(host.lab.net, family.number) as end, counting(host) as added:
        send_too_big(host.lan, family.far, quoted, 1300)
        deadline = time.monotonic() + PATIENCE
        while quoted not in end.recv(2000):
            assert time.monotonic() < deadline
    assert added["lan0", "icmp"] == 0
