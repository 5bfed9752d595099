"""Random IP packets, most of them well-formed: what the mutations start from."""

from __future__ import annotations

import random
import struct

from tests.packet_model import addresses
from tests.packet_model.wire import (
    ACK,
    DESTINATION,
    FIN,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    ROUTING,
    RST,
    SYN,
    TCP,
    UDP,
    Flow,
)

_FLAGS = (SYN, SYN, SYN, SYN, ACK, ACK, SYN | ACK, RST, RST | ACK, FIN | ACK, 0, SYN | FIN,
          SYN | RST, 255, 0xC2)  # fmt: skip
_PROTOCOLS = (0, 2, 4, 41, 47, 50, 51, 59, 89, 132, 135, 136, 255)
_CHAINS = (HOP_BY_HOP, ROUTING, DESTINATION, DESTINATION, FRAGMENT)
_MORE, _DONT = 0x2000, 0x4000


def segment(rng: random.Random) -> bytes:
    options = rng.choice((0, 0, 0, 4, 12, 20, 40))
    ports = addresses.ports(rng)
    sizes = (5 + options // 4) << 4, rng.choice(_FLAGS)
    fields = (*ports, rng.getrandbits(32), rng.getrandbits(32), *sizes, 1024, 0, 0)
    return struct.pack("!HHIIBBHHH", *fields) + rng.randbytes(options + rng.choice((0, 0, 5, 300)))


def datagram(rng: random.Random) -> bytes:
    data = rng.randbytes(rng.choice((0, 1, 9, 40, 500)))
    ports = addresses.ports(rng)
    return struct.pack("!HHHH", *ports, 8 + len(data), 0) + data


def transport(rng: random.Random, *, v6: bool) -> tuple[int, bytes]:
    dice = rng.random()
    if dice < 0.42:
        return UDP, datagram(rng)
    if dice < 0.84:
        return TCP, segment(rng)
    if dice < 0.95:
        return (ICMPV6 if v6 else ICMP), error(rng, v6=v6)
    return rng.choice(_PROTOCOLS), rng.randbytes(rng.randrange(60))


def error(rng: random.Random, *, v6: bool) -> bytes:
    """An ICMP message, at times about a packet that it quotes."""
    kind = rng.choice((1, 2, 3, 4, 128, 133, 135) if v6 else (0, 3, 3, 5, 8, 11, 12))
    head = struct.pack("!BBHI", kind, rng.randrange(6), 0, rng.getrandbits(32))
    if rng.random() < 0.5:
        return head + rng.randbytes(rng.randrange(40))
    quoted = datagram(rng) if rng.random() < 0.5 else segment(rng)
    pair = [addresses.source(rng, v6=v6), addresses.target(rng, v6=v6)]
    ends = b"".join(pair if rng.random() < 0.5 else pair[::-1])
    protocol = UDP if rng.random() < 0.5 else TCP
    if v6:
        return head + struct.pack("!IHBB", 6 << 28, len(quoted), protocol, 9) + ends + quoted[:8]
    fields = (0x45, 0, 20 + len(quoted), 1, 0, 9, protocol, 0)
    return head + struct.pack("!BBHHHBBH", *fields) + ends + quoted[:8]


def _part(rng: random.Random) -> tuple[int, int]:
    """Offset in units of eight bytes, and whether more fragments follow."""
    return rng.choice(((0, 1), (0, 1), (1, 1), (1, 0), (2, 0), (185, 1), (8191, 0), (0, 0)))


def v4(rng: random.Random) -> tuple[int, bytes]:
    protocol, data = transport(rng, v6=False)
    where = rng.choice((0, _DONT))
    if rng.random() < 0.12:
        offset, more = _part(rng)
        where = offset | (_MORE if more else 0)
    # Few identities, so that a later fragment often meets its first.
    identity = rng.randrange(4)
    options = rng.randbytes(4 * rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 2, 10)))
    ends = addresses.source(rng, v6=False) + addresses.target(rng, v6=False)
    size = 20 + len(options) + len(data)
    first = 4 << 4 | 5 + len(options) // 4
    fields = (first, rng.choice((0, 0x10)), size, identity, where, rng.randrange(1, 256), protocol)
    head = struct.pack("!BBHHHBB", *fields)
    check = checksum(head + bytes(2) + ends + options)
    return IPV4, head + check.to_bytes(2, "big") + ends + options + data


def v6(rng: random.Random) -> tuple[int, bytes]:
    protocol, data = transport(rng, v6=True)
    if rng.random() < 0.35:
        for kind in rng.choices(_CHAINS, k=rng.choice((1, 1, 2, 3, 4, 6, 7, 8))):
            if kind == FRAGMENT:
                offset, more = _part(rng)
                head = struct.pack("!BBHI", protocol, 0, offset << 3 | more, rng.randrange(4))
            else:
                length = rng.choice((0, 0, 0, 1, 4))
                head = struct.pack("!BB", protocol, length) + rng.randbytes(length * 8 + 6)
            protocol, data = kind, head + data
    ends = addresses.source(rng, v6=True) + addresses.target(rng, v6=True)
    first = 6 << 28 | rng.getrandbits(28)
    return IPV6, struct.pack(
        "!IHBB", first, len(data), protocol, rng.randrange(1, 256)
    ) + ends + data


def of_flow(rng: random.Random, flow: Flow) -> tuple[int, bytes]:
    """A packet of a flow, or of its other direction."""
    flow = flow.turned() if rng.random() < 0.5 else flow
    data = segment(rng) if flow.protocol == TCP else datagram(rng)
    data = struct.pack("!HH", flow.source_port, flow.target_port) + data[4:]
    size = 16 if flow.v6 else 4
    ends = flow.source.to_bytes(size, "big") + flow.target.to_bytes(size, "big")
    if flow.v6:
        return IPV6, struct.pack("!IHBB", 6 << 28, len(data), flow.protocol, 64) + ends + data
    head = struct.pack("!BBHIBB", 0x45, 0, 20 + len(data), 0, 64, flow.protocol)
    check = checksum(head + bytes(2) + ends).to_bytes(2, "big")
    return IPV4, head + check + ends + data


def checksum(data: bytes) -> int:
    """RFC 1071; 0 for data that holds its own right checksum."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
