"""Fragments on their way through this host, one by one."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.lab import Capture
from tests.lab.counters import counting
from tests.traffic.frames import SYN, frame, ip_packet, mac_of, sender_of, tcp_segment
from tests.traffic.sockets import leaks, listener
from tests.traffic.support import BYPASS, V4, Applied

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
MORE = 0x2000
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP


@pytest.fixture(autouse=True)
def proxies(host: Applied) -> Iterator[None]:
    with listener(host, V4), listener(host, V4, socket.SOCK_DGRAM):
        yield


@pytest.fixture(params=[TCP, UDP], ids=["tcp", "udp"])
def proto(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


def pass_through(host: Applied, *packets: bytes) -> None:
    """Send IPv4 packets from behind ``lan0``."""
    ends = mac_of(host.lan, "eth0"), mac_of(host.lab.host, "lan0")
    with sender_of(host.lan, "eth0") as wire:
        for packet in packets:
            wire.send(frame(*ends, packet))


def parts(proto: int, target: str, source: str = V4.behind) -> tuple[bytes, bytes]:
    """Give the first and the last fragment of a packet to port 80."""
    whole = tcp_segment((source, 50000), (target, 80), SYN, bytes(28))
    first = ip_packet(source, target, proto, whole[:24], offset=MORE)
    return first, ip_packet(source, target, proto, whole[24:], offset=3)


@pytest.mark.usefixtures("no_leak")
def test_a_first_fragment_is_dropped_and_those_that_follow(host: Applied, proto: int) -> None:
    with counting(host) as added:
        first, last = parts(proto, V4.far)
        pass_through(host, first, last, last)
    assert added == {("lan0", "fragment_dropped"): 3}


def test_a_fragment_ahead_of_the_first_one_passes_and_is_no_use_to_anybody(
    host: Applied, proto: int, wire: Capture
) -> None:
    """Nobody can tell whose it is; without the first one it is never put together."""
    first, last = parts(proto, V4.other)
    with counting(host) as added:
        pass_through(host, last, first, last)
    assert (added["lan0", "fragment"], added["lan0", "fragment_dropped"]) == (1, 2)
    assert len(leaks(wire)) == 1


def test_fragments_for_this_host_are_left_alone(host: Applied, proto: int) -> None:
    with counting(host) as added:
        pass_through(host, *parts(proto, V4.gate))
    assert added == {("lan0", "local"): 2}


def test_a_bypassed_datagram_is_not_dropped_for_the_one_that_had_its_number_before(
    host: Applied, wire: Capture, proto: int
) -> None:
    """A number is chosen by each connected socket for itself."""
    first, last = parts(proto, V4.other, V4.host)

    def send(mark: int) -> None:
        with host.lab.host.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_RAW) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            for packet in (first, last):
                raw.sendto(packet, (V4.other, 0))

    with counting(host) as added:
        send(0)
        send(BYPASS)
    assert added == {("wan0", "fragment_dropped"): 2, ("wan0", "fragment"): 2}
    assert len(leaks(wire)) == 2
