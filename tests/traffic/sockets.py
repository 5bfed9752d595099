"""The proxy's sockets, and what tests do with both ends."""

from __future__ import annotations

import hashlib
import random
import secrets
import socket
import struct
import threading
from typing import NamedTuple

from tests.lab import Capture, Packet
from tests.lab.patience import PATIENCE
from tests.traffic.support import PORT, V4, Applied, Family

# <linux/in.h> and <linux/in6.h>; Python has no names for them.
IP_RECVORIGDSTADDR = 20
IPV6_RECVORIGDSTADDR = 74
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
_EXPERIMENT = 253  # RFC 3692
_NDP = range(133, 138)  # ICMPv6 types of neighbour discovery


class Datagram(NamedTuple):
    """What came to the proxy's UDP socket, and where it was meant to go."""

    data: bytes
    source: tuple[str, int]
    target: tuple[str, int]


def transparent(made: socket.socket) -> None:
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)


def listener(
    on: Applied,
    family: Family,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    *,
    shared: bool = False,
) -> socket.socket:
    """One of the proxy's four sockets; ``shared``: several may have the port."""
    with on.lab.host.entered():
        return listen(family, kind, shared=shared)


def listen(
    family: Family,
    kind: socket.SocketKind = socket.SOCK_STREAM,
    *,
    shared: bool = False,
    port: int = PORT,
) -> socket.socket:
    """The same in the namespace that this thread is in."""
    made = socket.socket(family.number, kind)
    made.settimeout(PATIENCE)
    # Of datagram sockets that share a port by SO_REUSEADDR the last one gets all.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if shared else socket.SO_REUSEADDR, 1)
    transparent(made)
    if kind == socket.SOCK_DGRAM and family.number == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
    elif kind == socket.SOCK_DGRAM:
        made.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
    made.bind((family.loopback, port))
    if kind == socket.SOCK_STREAM:
        made.listen(4096)
    return made


def receive(proxy: socket.socket) -> Datagram:
    """The next datagram at the proxy's UDP socket, with its original destination."""
    data, ancillary, _, source = proxy.recvmsg(65536, 256)
    for _, kind, value in ancillary:
        port = struct.unpack_from("!H", value, 2)[0]
        if kind == IP_RECVORIGDSTADDR:
            return Datagram(data, source[:2], (socket.inet_ntoa(value[4:8]), port))
        if kind == IPV6_RECVORIGDSTADDR:
            address = socket.inet_ntop(socket.AF_INET6, value[8:24])
            return Datagram(data, source[:2], (address, port))
    raise AssertionError(f"no original destination came with {data!r}")


def answer(on: Applied, to: Datagram, data: bytes) -> None:
    """Send a reply as proxies do: from a socket bound to the original destination."""
    family = socket.AF_INET6 if ":" in to.target[0] else socket.AF_INET
    with on.lab.host.socket(family, socket.SOCK_DGRAM) as spoofed:
        spoofed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        transparent(spoofed)
        spoofed.bind(to.target)
        spoofed.sendto(data, to.source)


def leaks(wire: Capture) -> list[Packet]:
    """What arrived over the wire, apart from neighbour discovery and group membership."""
    return [packet for packet in wire.arrived() if not _is_noise(packet)]


def _is_noise(packet: Packet) -> bool:
    return packet.dst.startswith(("ff02:", "224.0.0.")) or (
        packet.proto == "icmp6" and packet.payload[0] in _NDP
    )


def arrived_by_now(on: Applied, wire: Capture) -> list[Packet]:
    """The same without a wait: a packet sent last says when all before it are in."""
    last = secrets.token_bytes(16)
    with on.lab.host.socket(kind=socket.SOCK_RAW, proto=_EXPERIMENT) as raw:
        raw.sendto(last, (V4.far, 0))
    wire.wait_for(lambda packet: packet.payload == last)
    marker = f"proto-{_EXPERIMENT}"
    seen = list(wire._found)
    return [each for each in seen if each.arrived and each.proto != marker and not _is_noise(each)]


def exchange(one: socket.socket, two: socket.socket, size: int) -> None:
    """Send ``size`` bytes each way at once, end each half, and compare."""
    sent = [random.Random(seed).randbytes(size) for seed in range(2)]  # noqa: S311 - test data
    got: dict[socket.socket, str] = {}

    def push(end: socket.socket, data: bytes) -> None:
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)

    def pull(end: socket.socket) -> None:
        digest = hashlib.sha256()
        while part := end.recv(1 << 20):
            digest.update(part)
        got[end] = digest.hexdigest()

    threads = [threading.Thread(target=push, args=(one, sent[0]))]
    threads += [threading.Thread(target=push, args=(two, sent[1]))]
    threads += [threading.Thread(target=pull, args=(end,)) for end in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert got[two] == hashlib.sha256(sent[0]).hexdigest()
    assert got[one] == hashlib.sha256(sent[1]).hexdigest()
