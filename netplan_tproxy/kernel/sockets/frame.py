"""The first packet of a flow as an Ethernet frame: a SYN, or a datagram of one byte. Pure."""

from __future__ import annotations

import ipaddress
import socket
import struct

End = tuple[str, int]

_HOPS = 1  # no router passes it on
_FROM = bytes.fromhex("020000000001")  # an address that is nobody's (locally administered)
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_SYN = 0x02
_WINDOW = 0xFFFF


def first_frame(protocol: str, source: End, target: End, station: bytes, sequence: int) -> bytes:
    """Give the frame for ``station``, a link-layer address; ``sequence`` is the SYN's number."""
    ends = [ipaddress.ip_address(address) for address, _ in (source, target)]
    addresses = b"".join(end.packed for end in ends)
    number = socket.IPPROTO_TCP if protocol == "tcp" else socket.IPPROTO_UDP
    if protocol == "tcp":
        payload = struct.pack(
            "!HHIIBBHHH", source[1], target[1], sequence, 0, 5 << 4, _SYN, _WINDOW, 0, 0
        )
    else:
        payload = struct.pack("!HHHH", source[1], target[1], 9, 0) + b"?"
    pseudo = addresses + struct.pack("!II", len(payload), number)
    at = 16 if protocol == "tcp" else 6
    sum_ = _checksum(pseudo + payload) or 0xFFFF
    payload = payload[:at] + struct.pack("!H", sum_) + payload[at + 2 :]
    version = ends[0].version
    header = struct.pack("!6s6sH", station, _FROM, _ETHERTYPES[version])
    if version == 6:  # noqa: PLR2004
        return (
            header
            + struct.pack("!IHBB", 6 << 28, len(payload), number, _HOPS)
            + (addresses + payload)
        )
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, _HOPS, number, 0)
    ip = ip[:10] + struct.pack("!H", _checksum(ip + addresses)) + addresses
    return header + ip + payload


def _checksum(data: bytes) -> int:
    """Add up 16-bit words in ones' complement, and turn it round (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)
