"""Echo requests, and errors that quote somebody's packet, by raw socket."""

from __future__ import annotations

import secrets
import socket
import struct
import time

from tests.lab import Namespace

ECHO4, REPLY4, ECHO6, REPLY6 = 8, 0, 128, 129
FRAGMENTATION_NEEDED = (3, 4)
TOO_BIG6 = (2, 0)

Address = tuple[str, int]


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def raw(namespace: Namespace, family: socket.AddressFamily) -> socket.socket:
    """An ICMP socket; over IPv6 the kernel fills in checksums."""
    proto = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    return namespace.socket(family, socket.SOCK_RAW, proto)


def message(kind: int, code: int, rest: bytes, *, v6: bool) -> bytes:
    """An ICMP message; ``rest`` begins with its second word."""
    made = struct.pack("!BBH", kind, code, 0) + rest
    return made if v6 else made[:2] + struct.pack("!H", checksum(made)) + made[4:]


def pings(namespace: Namespace, family: socket.AddressFamily, target: str) -> bool:
    """Whether an echo request is answered within a second."""
    v6 = family == socket.AF_INET6
    echo = secrets.token_bytes(4)
    with raw(namespace, family) as end:
        end.sendto(message(ECHO6 if v6 else ECHO4, 0, echo + b"ping", v6=v6), (target, 0))
        deadline = time.monotonic() + 1
        while (left := deadline - time.monotonic()) > 0:
            end.settimeout(left)
            try:
                came, source = end.recvfrom(2000)
            except TimeoutError:
                return False
            came = came if v6 else came[(came[0] & 0xF) * 4 :]
            wanted = REPLY6 if v6 else REPLY4
            if came[0] == wanted and came[4:8] == echo and source[0] == target:
                return True
    return False


def quotation(source: Address, target: Address, sequence: int = 0) -> bytes:
    """What an error quotes of a TCP packet: its IP header and eight bytes."""
    ports = struct.pack("!HHI", source[1], target[1], sequence)
    if ":" in source[0]:
        head = struct.pack("!IHBB", 6 << 28, 1400, socket.IPPROTO_TCP, 63)
        pack = [socket.inet_pton(socket.AF_INET6, address) for address, _ in (source, target)]
        return head + b"".join(pack) + ports
    head = struct.pack("!BBHHHBBH", 0x45, 0, 1400, 1, 0x4000, 63, socket.IPPROTO_TCP, 0)
    return head + socket.inet_aton(source[0]) + socket.inet_aton(target[0]) + ports


def send_too_big(namespace: Namespace, to: str, quoted: bytes, mtu: int) -> None:
    """Tell ``to`` that the quoted packet of its did not fit; ``mtu`` in bytes."""
    v6 = ":" in to
    kind, code = TOO_BIG6 if v6 else FRAGMENTATION_NEEDED
    made = message(kind, code, struct.pack("!I", mtu) + quoted, v6=v6)
    with raw(namespace, socket.AF_INET6 if v6 else socket.AF_INET) as end:
        end.sendto(made, (to, 0))
