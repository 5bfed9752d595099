"""Floods: connections that live go on, and the tables stay within their bounds."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from netplan_tproxy.datapath import layouts
from tests.lab.counters import counting
from tests.traffic import crowd
from tests.traffic.frames import SYN, frame, ip_packet, mac_of, sender_of, tcp_segment
from tests.traffic.icmp import checksum
from tests.traffic.sockets import listener, receive
from tests.traffic.support import BEHIND, V4, Applied
from tests.traffic.tables import entries

pytestmark = [pytest.mark.lab, pytest.mark.bpf, pytest.mark.slow]
BURST = 100_000
FULL = 65_536


def flood(host: Applied, packets: Iterator[bytes]) -> None:
    """Send IP packets from behind ``lan0``, as fast as this goes."""
    header = frame(mac_of(host.lan, "eth0"), mac_of(host.lab.host, "lan0"), b"\x45")[:14]
    with sender_of(host.lan, "eth0") as wire:
        fd = wire.fileno()
        for packet in packets:
            os.write(fd, header + packet)


def openings(count: int, source: str) -> Iterator[bytes]:
    """SYNs of that many connections.

    The urgent pointer, of no account here, takes back what the ports add to the checksum.
    """
    ends = (source, 0), (V4.far, 0)
    whole = ip_packet(source, V4.far, socket.IPPROTO_TCP, tcp_segment(*ends, SYN))
    for number in range(count):
        ports = struct.pack("!HH", 1024 + number % 60_000, 1 + number // 60_000)
        yield whole[:20] + ports + whole[24:38] + struct.pack("!H", checksum(ports))


def test_a_flood_of_openings_breaks_no_live_connection(host: Applied) -> None:
    with crowd.gathered(host, 600) as live, listener(host, V4) as proxy:
        assert live.ask("all") == 600
        with counting(host) as added:
            flood(host, openings(BURST, V4.behind))
        assert added["lan0", "new"] == BURST
        assert live.ask("alive") == live.ask("all") == 600
        near, far = host.pair(proxy, BEHIND, V4)
        near.close()
        far.close()
    assert entries(host, layouts.TRACKED) <= FULL


def test_a_flood_of_openings_from_a_raw_socket_breaks_no_live_connection(host: Applied) -> None:
    """No socket of TCP's sent them, so they are nobody's, and pass."""
    with crowd.gathered(host, 600) as live, counting(host) as added:
        with host.lab.host.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_RAW) as raw:
            for packet in openings(BURST // 10, V4.host):
                raw.sendto(packet, (V4.far, 0))
        assert live.ask("alive") == live.ask("all") == 600
    assert added["wan0", "untracked"] == BURST // 10


def datagrams(count: int) -> Iterator[bytes]:
    """Each a flow of its own; without a UDP checksum, as IPv4 allows."""
    for number in range(count):
        udp = struct.pack("!HHHH", 1024 + number % 60_000, 1 + number // 60_000, 8, 0)
        yield ip_packet(V4.behind, V4.far, socket.IPPROTO_UDP, udp)


def test_more_flows_than_the_table_holds_forget_the_idle_ones(host: Applied) -> None:
    """And those are decided again: the same is found, and nothing leaks."""
    kind = socket.SOCK_DGRAM
    with listener(host, V4, kind) as proxy, host.client(BEHIND, V4, kind) as near:
        near.connect((V4.other, 443))
        near.send(b"before")
        assert receive(proxy).data == b"before"
        with counting(host) as added:
            flood(host, datagrams(BURST))
        assert added["lan0", "intercepted"] == BURST
        assert FULL * 0.9 < entries(host, layouts.TRACKED) <= FULL
    with listener(host, V4, kind) as proxy, host.client(BEHIND, V4, kind) as near:
        near.connect((V4.other, 443))
        near.send(b"after")
        assert receive(proxy).data == b"after"


def visits(count: int) -> Iterator[bytes]:
    """Datagrams to a service of this host."""
    for number in range(count):
        udp = struct.pack("!HHHH", 1024 + number % 60_000, 5302, 8, 0)
        source = f"10.79.0.{2 + number // 60_000}"
        yield ip_packet(source, V4.gate, socket.IPPROTO_UDP, udp)


def test_a_flood_of_visitors_leaves_the_verdicts_of_others_alone(host: Applied) -> None:
    kind = socket.SOCK_DGRAM
    with (
        listener(host, V4, kind) as proxy,
        host.client(BEHIND, V4, kind) as near,
        host.lab.host.socket(kind=kind) as server,
    ):
        server.bind((V4.gate, 5302))
        near.connect((V4.other, 443))
        near.send(b"before")
        assert receive(proxy).data == b"before"
        with counting(host) as added:
            flood(host, visits(BURST))
            near.send(b"after")
            assert receive(proxy).data == b"after"
        assert added["lan0", "local"] == BURST
        assert added["lan0", "new"] == 0
    assert FULL * 0.9 < entries(host, layouts.INBOUND) <= FULL
