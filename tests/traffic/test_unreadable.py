"""Headers that nobody can read: what may be to be intercepted is dropped, anything else passes."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.lab import Capture
from tests.lab.counters import counting
from tests.traffic.frames import SYN, frame, ip_packet, mac_of, sender_of
from tests.traffic.icmp import checksum
from tests.traffic.sockets import leaks, listener
from tests.traffic.support import BYPASS, V4, V6, Applied, Family

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
MOST = 6  # extension headers that are walked
DESTINATION_OPTIONS, FRAGMENT, TCP = 60, 44, 6
MORE_4, MORE_6 = 0x2000, 1
WEB = 80
_ports = itertools.count(20_000)


class Way(NamedTuple):
    """Who sends, and by which interface of HOST it goes."""

    name: str
    interface: str


@pytest.fixture(params=[Way("host", "wan0"), Way("lan", "lan0")], ids=lambda way: way.name)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture(autouse=True)
def proxies(host: Applied) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for family in (V4, V6):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                stack.enter_context(listener(host, family, kind))
        yield


def source(way: Way, family: Family) -> str:
    return family.host if way.name == "host" else family.behind


def opening(source: str) -> bytes:
    """A SYN over IPv6 to the far end's web server, with its checksum."""
    ends = [ipaddress.ip_address(text).packed for text in (source, V6.far)]
    tcp = struct.pack("!HHIIBBHHH", next(_ports), WEB, 1, 0, 5 << 4, SYN, 1024, 0, 0)
    pseudo = b"".join(ends) + struct.pack("!II", len(tcp), TCP)
    return tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]


def options(count: int, following: int, rest: bytes) -> tuple[int, bytes]:
    """So many destination option headers, each a PadN of four, in front of ``rest``."""
    for _ in range(count):
        rest = struct.pack("!BBBBI", following, 0, 1, 4, 0) + rest
        following = DESTINATION_OPTIONS
    return following, rest


def over_ipv6(source: str, following: int, rest: bytes) -> bytes:
    ends = b"".join(ipaddress.ip_address(text).packed for text in (source, V6.far))
    return struct.pack("!IHBB", 6 << 28, len(rest), following, 64) + ends + rest


def in_fragments(source: str) -> list[bytes]:
    """A SYN whose header is in the second fragment."""
    following, rest = options(1, TCP, opening(source))
    number = next(_ports)
    return [
        over_ipv6(
            source, FRAGMENT, struct.pack("!BBHI", following, 0, at << 3 | more, number) + part
        )
        for at, more, part in ((0, MORE_6, rest[:8]), (1, 0, rest[8:]))
    ]


def unreadable(way: Way) -> dict[str, list[bytes]]:
    """What each kind of them consists of."""
    six, four = source(way, V6), source(way, V4)
    chain = over_ipv6(six, *options(MOST + 1, TCP, opening(six)))
    return {
        "too many headers": [chain],
        "a header in the second fragment": in_fragments(six),
        "options cut short": [over_ipv6(six, DESTINATION_OPTIONS, b"\6\0\1")],
        "segment cut short": [over_ipv6(six, TCP, opening(six)[:19])],
        "IPv4 segment cut short": [ip_packet(four, V4.far, TCP, bytes(19))],
        "IPv4 datagram cut short": [ip_packet(four, V4.far, socket.IPPROTO_UDP, bytes(7))],
    }


KINDS = list(unreadable(Way("host", "wan0")))
kinds = pytest.mark.parametrize("kind", KINDS)


def send(host: Applied, way: Way, packets: list[bytes], mark: int = 0) -> None:
    """Send them as this host's raw socket does, or as a machine behind it."""
    if way.name == "lan":
        ends = mac_of(host.lan, "eth0"), mac_of(host.lab.host, "lan0")
        with sender_of(host.lan, "eth0") as wire:
            for packet in packets:
                wire.send(frame(*ends, packet))
        return
    for packet in packets:
        family = V6 if packet[0] >> 4 == 6 else V4
        with host.lab.host.socket(family.number, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            raw.sendto(packet, (family.far, 0))


@pytest.mark.usefixtures("no_leak")
@kinds
def test_what_may_be_to_be_intercepted_is_dropped(host: Applied, way: Way, kind: str) -> None:
    packets = unreadable(way)[kind]
    with counting(host) as added:
        send(host, way, packets)
    wanted = {(way.interface, "unreadable"): 1}
    if len(packets) > 1:
        wanted[way.interface, "fragment_dropped"] = 1
    assert added == wanted


@kinds
def test_what_is_bypassed_passes(host: Applied, wire: Capture, kind: str) -> None:
    way = Way("host", "wan0")
    packets = unreadable(way)[kind]
    with counting(host) as added:
        send(host, way, packets, BYPASS)
    assert added["wan0", "malformed"] == 1
    assert added["wan0", "unreadable"] == 0
    assert len(leaks(wire)) == len(packets)


def test_a_far_end_would_answer_such_a_segment(host: Applied, wire: Capture) -> None:
    """So it matters."""
    with host.lab.net.socket(V6.number) as server:
        server.bind((V6.far, WEB))
        server.listen()
        chain = over_ipv6(V6.host, *options(MOST + 1, TCP, opening(V6.host)))
        send(host, Way("host", "wan0"), [chain], BYPASS)
        answer = wire.wait_for(lambda packet: not packet.arrived and packet.sport == WEB)
    assert answer.flags == "SA"
